/** Unsent answers on the device: two places, either of which may be missing, full, hanging or lost. */
import 'fake-indexeddb/auto';
import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { keptAnswers } from '../../static/js/trials/kept_answers.js';
import { Outbox } from '../../static/js/trials/outbox.js';

const realIndexedDB = indexedDB;
const answer = (trial, side = 'left') => ({ trial, answers: [side], input: 'f', rt_ms: 700, timing: {} });

/** With its entries as its own properties, as in a browser. */
function emptyLocalStorage() {
  const hidden = (value) => ({ value, writable: true });
  return Object.create(null, {
    getItem: hidden((name) => globalThis.localStorage[name] ?? null),
    setItem: hidden((name, value) => void (globalThis.localStorage[name] = value)),
    removeItem: hidden((name) => void delete globalThis.localStorage[name]),
  });
}

function replace(name, descriptor) {
  Object.defineProperty(globalThis, name, { configurable: true, ...descriptor });
}

const blocked = {
  get() {
    throw new DOMException('The operation is insecure.', 'SecurityError');
  },
};
const hanging = { value: { open: () => ({}) } };

function request(made) {
  return new Promise((resolve, reject) => {
    made.onsuccess = () => resolve(made.result);
    made.onerror = () => reject(made.error);
  });
}

/** What a page finds that is opened later. Writes begun before are done by then, as IndexedDB keeps their order. */
async function found(token) {
  const all = new Map();
  await keptAnswers(token).read((judgments) => judgments.forEach((judgment) => all.set(judgment.trial, judgment)));
  return [...all.values()];
}

beforeEach(async () => {
  replace('indexedDB', { value: realIndexedDB });
  replace('localStorage', { value: emptyLocalStorage() });
  await request(indexedDB.deleteDatabase('lookalike'));
});

test('answers come back whole and in order, those of one assignment, until they are forgotten', async () => {
  const kept = keptAnswers('mine');
  for (const trial of [12, 3, 100]) kept.keep(answer(trial));
  keptAnswers('other').keep(answer(4, 'right'));
  assert.deepEqual(await found('mine'), [answer(3), answer(12), answer(100)]);
  for (const trial of [3, 12, 100]) kept.forget(trial);
  assert.deepEqual(await found('mine'), []);
  assert.deepEqual(await found('other'), [answer(4, 'right')]);
});

test('IndexedDB alone has them: localStorage had not been written when the browser was killed', async () => {
  keptAnswers('mine').keep(answer(1));
  replace('localStorage', { value: emptyLocalStorage() });
  assert.deepEqual(await found('mine'), [answer(1)]);
});

test('the disk is asked for, not only the memory of the operating system', async (t) => {
  const transaction = t.mock.method(IDBDatabase.prototype, 'transaction');
  const commit = t.mock.method(IDBTransaction.prototype, 'commit');
  keptAnswers('mine').keep(answer(1));
  await found('mine');
  const asked = transaction.mock.calls.map((call) => call.arguments);
  assert.deepEqual(asked.find(([, mode]) => mode === 'readwrite'), ['answers', 'readwrite', { durability: 'strict' }]);
  assert.ok(commit.mock.callCount() >= 1, 'without waiting for the answer to each request');
});

test('what an older page has left in localStorage is found', async () => {
  localStorage.setItem('lookalike.answer.mine.7', JSON.stringify(answer(7)));
  assert.deepEqual(await found('mine'), [answer(7)]);
});

test('nonsense in either place is passed over', async () => {
  localStorage.setItem('lookalike.answer.mine.1', '{');
  localStorage.setItem('lookalike.answer.mine.2', '{"trial": "2", "answers": []}');
  keptAnswers('mine').keep({ ...answer(3), answers: 'left' });
  assert.deepEqual(await found('mine'), []);
});

for (const [name, descriptor] of Object.entries({ blocked, missing: { value: undefined }, hanging })) {
  test(`localStorage alone has them: IndexedDB is ${name}`, () => {
    replace('indexedDB', descriptor);
    const kept = keptAnswers('mine');
    kept.keep(answer(2));
    kept.keep(answer(1));
    kept.forget(2);
    const first = [];
    kept.read((judgments) => first.push(...judgments));
    assert.deepEqual(first, [answer(1)], 'without waiting');
  });
}

test('IndexedDB alone has them: localStorage is full', async () => {
  localStorage.setItem = () => {
    throw new DOMException('full', 'QuotaExceededError');
  };
  keptAnswers('mine').keep(answer(1));
  assert.deepEqual(await found('mine'), [answer(1)]);
});

test('where both are blocked nothing is kept and nothing breaks', async () => {
  replace('indexedDB', blocked);
  replace('localStorage', blocked);
  const kept = keptAnswers('mine');
  kept.keep(answer(1));
  kept.forget(1);
  assert.deepEqual(await found('mine'), []);
});

test('a connection that the browser has closed is opened again', async () => {
  const kept = keptAnswers('mine');
  kept.keep(answer(1));
  await found('mine');
  // Another tab deletes the database, which closes this page's connection.
  await request(indexedDB.deleteDatabase('lookalike'));
  kept.keep(answer(2));
  replace('localStorage', { value: emptyLocalStorage() });
  assert.deepEqual(await found('mine'), [answer(2)]);
});

test('a connection that fails without a word is opened again', async (t) => {
  const kept = keptAnswers('mine');
  await found('mine');
  const broken = () => {
    throw new DOMException('The database connection is closing.', 'InvalidStateError');
  };
  t.mock.method(IDBDatabase.prototype, 'transaction', broken, { times: 1 });
  kept.keep(answer(1));
  replace('localStorage', { value: emptyLocalStorage() });
  while (!(await found('mine')).length);
  assert.deepEqual(await found('mine'), [answer(1)]);
});

test('a database that a newer release has made is used as it is', async () => {
  const opening = indexedDB.open('lookalike', 7);
  opening.onupgradeneeded = () => opening.result.createObjectStore('answers', { keyPath: ['token', 'trial'] });
  (await request(opening)).close();
  keptAnswers('mine').keep(answer(1));
  replace('localStorage', { value: emptyLocalStorage() });
  assert.deepEqual(await found('mine'), [answer(1)]);
});

function outboxOver(kept, { online = Promise.resolve() } = {}) {
  const sent = [];
  const outbox = new Outbox({
    kept,
    judge: async (judgments) => {
      await online;
      sent.push(...judgments);
      return { accepted: judgments.map(({ trial }) => trial), feedback: [] };
    },
    onChange() {},
    onRefusal: assert.fail,
  });
  return { outbox, sent };
}

test('the outbox sends what was kept, and keeps it until the server has it', async () => {
  keptAnswers('mine').keep(answer(1));
  replace('localStorage', { value: emptyLocalStorage() });
  let connect;
  const online = new Promise((resolve) => (connect = resolve));
  const { outbox, sent } = outboxOver(keptAnswers('mine'), { online });
  await outbox.restore();
  assert.deepEqual([...outbox.trials], [1], 'known before the first trial is chosen');
  assert.deepEqual(await found('mine'), [answer(1)]);
  connect();
  await outbox.drained();
  assert.deepEqual(sent, [answer(1)]);
  assert.deepEqual(await found('mine'), []);
});

test('the outbox waits for three seconds, and sends later what was found later', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let answerLate;
  const late = new Promise((resolve) => (answerLate = resolve));
  const { outbox, sent } = outboxOver({
    read: async (found) => {
      found([answer(1)]);
      found(await late);
    },
    keep() {},
    forget() {},
  });
  const restored = outbox.restore();
  assert.deepEqual([...outbox.trials], [1]);
  t.mock.timers.tick(3000);
  await restored;
  await outbox.drained();
  answerLate([answer(2)]);
  await late;
  await outbox.drained();
  assert.deepEqual(sent, [answer(1), answer(2)]);
});

test('an answer given again before the earlier one was found is the one that is sent', async () => {
  let answerLate;
  const late = new Promise((resolve) => (answerLate = resolve));
  const { outbox, sent } = outboxOver({ read: async (found) => found(await late), keep() {}, forget() {} });
  const restored = outbox.restore();
  outbox.add(answer(1, 'right'));
  answerLate([answer(1, 'left')]);
  await restored;
  await outbox.drained();
  assert.deepEqual(sent, [answer(1, 'right')]);
});
