/** Which browsers are told that they are too old. */
import assert from 'node:assert/strict';
import { test } from 'node:test';

import { browserObstacle } from '../../static/js/browser_support.js';

const does = () => {};
const CURRENT = {
  fetch: does,
  AbortController: does,
  FormData: does,
  createImageBitmap: does,
  matchMedia: does,
  requestAnimationFrame: does,
  URL: Object.assign(() => {}, { createObjectURL: does }),
  Object,
  Array,
  Element: { prototype: { replaceChildren: does } },
  HTMLDialogElement: { prototype: { showModal: does } },
  HTMLImageElement: { prototype: { decode: does } },
  MediaQueryList: { prototype: { addEventListener: does } },
  CSS: { supports: () => true },
};

test('a browser that has everything is told nothing', () => {
  assert.equal(browserObstacle(CURRENT), '');
});

test('one without AbortSignal.timeout has everything: nothing younger than it needs to be is asked for', () => {
  assert.equal(browserObstacle({ ...CURRENT, AbortSignal: {} }), '');
});

test('what is missing is named, with what to do', () => {
  const old = { ...CURRENT, createImageBitmap: undefined, CSS: { supports: (what) => what !== '(container-type: size)' } };
  assert.match(browserObstacle(old), /update it, or open the link in a current .*createImageBitmap, \(container-type: size\)/);
});

test('a browser that lacks all of it still gets the sentence', () => {
  assert.match(browserObstacle({}), /too old/);
  assert.match(browserObstacle({ ...CURRENT, HTMLDialogElement: undefined }), /HTMLDialogElement.prototype.showModal/);
  assert.match(browserObstacle({ ...CURRENT, CSS: undefined }), /container-type/);
});
