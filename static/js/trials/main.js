/** The participant's page from the first trial to the completion code. */
import { offerCopy } from '../completion_code.js';
import { Refused, assignmentApi } from './api.js';
import { Breaks } from './breaks.js';
import { passCheck } from './check.js';
import { untilAnswered } from './connection.js';
import { wireDialogs } from './dialogs.js';
import { watchEnvironment } from './environment.js';
import { keptAnswers } from './kept_answers.js';
import { loadKind } from './kinds.js';
import { keepNotice } from './notice.js';
import { Outbox } from './outbox.js';
import { sit } from './sitting.js';
import { goBack, showMessage, showSaving, showThanks } from './views.js';

const { token, kind: kindName, breakEvery, practice } = document.getElementById('stage').dataset;
const api = assignmentApi(token);
const ended = new AbortController();

const updateNotice = keepNotice(() => outbox.size);
const outbox = new Outbox({ kept: keptAnswers(token), judge: api.judge, onChange: onUnsentChange, onRefusal: end });

function onUnsentChange() {
  updateNotice();
  // Only while something is unsent: a listener that is there for nothing keeps the browser from caching the page.
  if (outbox.size) addEventListener('beforeunload', warn);
  else removeEventListener('beforeunload', warn);
}

function warn(event) {
  event.preventDefault();
}

/** Nothing more to be done here: say why. */
function end(error) {
  if (ended.signal.aborted) return;
  ended.abort();
  showMessage(explain(error));
}

function explain(error) {
  if (error instanceof Refused && [403, 404, 410].includes(error.status)) {
    return { title: error.problem.title, text: error.message, isWorthReloading: false };
  }
  console.error(error);
  return {
    title: 'Something went wrong',
    text: 'Please reload the page: it goes on where you were.',
    isWorthReloading: true,
  };
}

async function leave() {
  await api.withdraw();
  ended.abort();
  outbox.discard();
  location.reload();
}

async function judge() {
  await passCheck(api);
  const [kind] = await Promise.all([loadKind(kindName), restored]);
  const breaks = new Breaks(Number(breakEvery));
  return sit({ kind, api, outbox, breaks, practice: Number(practice), signal: ended.signal, onAnswered: showSaving });
}

const restored = outbox.restore();
wireDialogs(leave);
// Nice to know; the answers count without it.
watchEnvironment((measured) => untilAnswered(() => api.environment(measured), { tries: 3 })).catch(() => {});
judge().then((completed) => {
  if (ended.signal.aborted) return;
  showThanks(completed);
  offerCopy();
  // Everything is saved and the server has said so: only now back to the recruiter.
  goBack(completed);
}, end);
