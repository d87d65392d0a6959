/** Options, properties, and what a platform (a browser, a mini program) must offer. */

/** A number goes out as a float: JavaScript knows no other, and a property keeps its first kind. */
export type Value = string | number | boolean | Date | readonly string[] | null | undefined;
export interface Properties {
  [name: string]: Value;
}

/** true: yes; false: no; null: not decided yet, nothing is stored or sent. */
export type Consent = boolean | null;

export interface CoreOptions {
  /** The collector's address, without `/v1/events`. */
  url: string;
  /** A write key. Whoever reads the page can read it. */
  key: string;
  consent?: Consent;
  /** Tells two of them apart that share a page or a program: each has its own ids and queue. */
  name?: string;
  /** Events from before consent is decided: forget them, or hold the last 100 in memory. */
  beforeConsent?: 'discard' | 'hold';
  /** Properties of every event; more with `register`. */
  properties?: Properties;
  /** An event waits at most this long for others to travel with. Default 5000. */
  batchMs?: number;
  /** Events in a batch, at most. Default 50. */
  batchEvents?: number;
  /** Characters of events kept in storage, at most; the oldest batch goes first. Default 500,000. */
  maxQueue?: number;
  /** A session ends after this long without an event. Default 30 minutes. */
  sessionMs?: number;
  /** The first retry waits a random part of this, each further one of twice as much. Default 1000. */
  retryBaseMs?: number;
  /** No retry waits for more than a random part of this. Default 300,000. */
  retryCapMs?: number;
  /** What nobody else sees: events that were refused here or there, batches given up or put off. */
  onError?: (error: Failure) => void;
}

/** `lost` counts events that are given up; 0 when they are kept and sent again. */
export interface Failure {
  code: string;
  message: string;
  lost: number;
}

/** What became of events, counted. */
export interface Stats {
  accepted: number;
  duplicates: number;
  rejected: number;
  invalid: number;
  dropped: number;
  discarded: number;
  purged: number;
  retries: number;
}

/** Synchronous, and small; none of its functions may throw. */
export interface Store {
  get(key: string): string | null;
  /** Whether it was kept. */
  set(key: string, value: string): boolean;
  remove(key: string): void;
  keys(): string[];
}

/** `status` 0: no answer. */
export interface Reply {
  status: number;
  body: string;
  retryAfter: string | null;
}

export interface Platform {
  store: Store;
  /** POST `body`; call `done` once. Returns what cuts the request off. */
  post(url: string, key: string, body: string, done: (reply: Reply) => void): () => void;
  /** Fill with random bytes. */
  random(bytes: Uint8Array): void;
  now(): number;
  after(ms: number, work: () => void): () => void;
  /** Stored batches that nobody wrote to for this long are taken over. */
  adoptAfterMs: number;
  /** Name of the library, for `$lib`. */
  lib: string;
}
