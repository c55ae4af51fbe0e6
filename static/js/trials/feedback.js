/** What a practice trial tells the person. */
import { untilRead } from './panels.js';

const panel = document.getElementById('feedback');
const text = document.getElementById('feedback-text');

/** Show the sentence until the person has read it. */
export async function showFeedback(sentence) {
  text.textContent = sentence;
  await untilRead(panel);
}
