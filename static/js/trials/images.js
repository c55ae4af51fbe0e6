/** Images that are ready to be painted. */
import { imageBytes } from './api.js';
import { untilAnswered } from './connection.js';

/** About half a minute: after that it is this image that does not come, not the network. */
const TRIES = 8;

/**
 * The image behind an address, decoded: inserting it paints it in the same frame.
 *
 * The bytes are fetched first, so that a network that is away for a while (try again) is never taken for an image that
 * cannot be decoded (abort). One that cannot be may have broken off on its way, and been kept so by the browser: it is
 * asked for once more.
 *
 * @param {string} address
 * @returns {Promise<HTMLImageElement>} rejects if it does not come, or not whole
 */
export async function decodedImage(address) {
  const fetched = (cache) => untilAnswered(() => imageBytes(address, cache), { tries: TRIES });
  return decoded(await fetched()).catch(async () => decoded(await fetched('reload')));
}

/** Chromium's `decode()` resolves for a file that breaks off, and paints nothing: a bitmap is made of a whole one only. */
async function decoded(bytes) {
  const image = new Image();
  image.decoding = 'sync';
  image.draggable = false;
  image.src = URL.createObjectURL(bytes);
  try {
    const [bitmap] = await Promise.all([createImageBitmap(bytes), image.decode()]);
    bitmap.close();
  } finally {
    URL.revokeObjectURL(image.src);
  }
  return image;
}
