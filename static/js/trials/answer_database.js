/** Unsent answers in IndexedDB. What it has stored is on the disk, and there after the whole browser is killed. */

const DATABASE = 'lookalike';
const STORE = 'answers';

/**
 * The answers of one assignment. Every call rejects where the browser does not store them, and may wait without end:
 * some browsers hang when they open a database.
 */
export class AnswerDatabase {
  #token;
  /** @type {Promise<IDBDatabase> | null} */
  #connection = null;

  constructor(/** @type {string} */ token) {
    this.#token = token;
  }

  /** @returns {Promise<import('./api.js').Judgment[]>} */
  async all() {
    const mine = () => IDBKeyRange.bound([this.#token], [this.#token, []]);
    const kept = await this.#transact('readonly', (store) => store.getAll(mine()));
    return kept.map(({ judgment }) => judgment);
  }

  /** Resolves once it is on the disk. */
  async put(/** @type {import('./api.js').Judgment} */ judgment) {
    const entry = { token: this.#token, trial: judgment.trial, judgment };
    await this.#transact('readwrite', (store) => store.put(entry));
  }

  async remove(/** @type {number} */ trial) {
    await this.#transact('readwrite', (store) => store.delete([this.#token, trial]));
  }

  /** Browsers lose connections without a word: what fails is tried once more, on a new one. */
  async #transact(mode, action) {
    try {
      return await this.#attempt(mode, action);
    } catch {
      this.#disconnect();
      return this.#attempt(mode, action);
    }
  }

  async #attempt(mode, action) {
    this.#connection ??= this.#open();
    const transaction = (await this.#connection).transaction(STORE, mode, { durability: 'strict' });
    const request = action(transaction.objectStore(STORE));
    // At once, not after its requests have answered: by then this page may be gone.
    transaction.commit?.();
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onabort = () => reject(transaction.error);
    });
    return request.result;
  }

  /** Without a version: the database as it is, whichever release of the page has made it. */
  #open() {
    return new Promise((resolve, reject) => {
      const request = indexedDB.open(DATABASE);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: ['token', 'trial'] });
      request.onerror = () => reject(request.error);
      request.onsuccess = () => {
        // Another tab changes or deletes it, or the browser has closed it.
        request.result.onversionchange = request.result.onclose = () => this.#disconnect();
        resolve(request.result);
      };
    });
  }

  #disconnect() {
    this.#connection?.then(
      (database) => database.close(),
      () => {},
    );
    this.#connection = null;
  }
}
