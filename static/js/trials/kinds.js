/**
 * The kinds of trials. Each is a module with the same functions:
 *
 *   load(trial)            what showing the trial takes, ready to be painted
 *   show(stimulus, signal) shows it from the next frame on, and resolves to the answer
 *   clear()                takes it away
 *   reveal(feedback)       points out the expected answer of a practice trial, and returns a sentence about it
 */
import * as twoAfc from './two_afc.js';

export const kinds = { '2afc': twoAfc };
