/** Images that are ready to be painted. */
import { imageBytes } from './api.js';
import { untilAnswered } from './connection.js';

/** About half a minute: after that it is this image that does not come, not the network. */
const TRIES = 8;

/**
 * The image behind an address, decoded: inserting it paints it in the same frame.
 *
 * The bytes are fetched first, so that a network that is away for a while (try again) is never taken for an image that
 * cannot be decoded (abort).
 *
 * @param {string} address
 * @returns {Promise<HTMLImageElement>}
 */
export async function decodedImage(address) {
  const bytes = await untilAnswered(() => imageBytes(address), { tries: TRIES });
  const image = new Image();
  image.decoding = 'sync';
  image.draggable = false;
  image.src = URL.createObjectURL(bytes);
  try {
    await image.decode();
  } finally {
    URL.revokeObjectURL(image.src);
  }
  return image;
}
