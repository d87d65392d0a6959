/**
 * Sends one batch at a time, the oldest first.
 *
 *   200 with a collector's answer   stored durably
 *   400                             unreadable: given up
 *   401, 403                        wrong key: kept, nothing is sent until the next start
 *   413                             sent in halves; a single event is given up
 *   everything else, no answer      kept; full-jitter exponential back-off, never before Retry-After
 *
 * Every attempt has the same batch id and the same events; only `sent_at` is the time of the
 * attempt, because the collector corrects a wrong clock by it.
 */
import type { Batch, Batches } from './batches.js';
import type { CoreOptions, Failure, Platform, Reply, Stats } from './types.js';

const RETRY_AFTER_CAP_MS = 3_600_000;

export class Sender {
  private cutOff: (() => void) | null = null;
  private cancelTimer: (() => void) | null = null;
  private cancelRetry: (() => void) | null = null;
  private failures = 0;
  private halted = false;
  private enabled = false;
  private turn = 0; // answers to requests of earlier turns do not count
  private waiting: Array<(gone: boolean) => void> = [];

  constructor(
    private readonly platform: Platform,
    private readonly options: CoreOptions,
    private readonly batches: Batches,
    private readonly stats: Stats,
    private readonly fail: (failure: Failure) => void
  ) {}

  /** Consent is given. */
  start(): void {
    this.enabled = true;
    this.hurry();
  }

  /** An event came in. */
  added(sealed: boolean): void {
    if (sealed) this.next();
    if (!this.cancelTimer) {
      const ms = this.options.batchMs === undefined ? 5000 : this.options.batchMs;
      this.cancelTimer = this.platform.after(ms, () => this.flush());
    }
  }

  /** Send everything now, unless a retry has to wait. `done` hears whether all of it has gone. */
  flush(done?: (gone: boolean) => void): void {
    if (this.cancelTimer) this.cancelTimer();
    this.cancelTimer = null;
    this.batches.seal();
    if (done) this.waiting.push(done);
    this.next();
  }

  /** The network is back: do not wait any longer. */
  hurry(): void {
    if (this.cancelRetry) this.cancelRetry();
    this.cancelRetry = null;
    this.next();
  }

  /** Cut off what is on its way, and wait for nothing. */
  stop(): void {
    for (const cancel of [this.cutOff, this.cancelTimer, this.cancelRetry]) if (cancel) cancel();
    this.cutOff = this.cancelTimer = this.cancelRetry = null;
    this.failures = 0;
    this.enabled = false;
    this.turn++;
    this.tell(this.batches.isEmpty());
  }

  private next(): void {
    if (this.cutOff) return;
    const batch = this.enabled ? this.batches.head() : null;
    if (!batch || this.halted || this.cancelRetry) {
      this.tell(this.batches.isEmpty());
      return;
    }
    const turn = ++this.turn;
    const cut = this.platform.post(
      endpoint(this.options),
      this.options.key,
      bodyOf(batch, this.platform.now()),
      (reply) => {
        if (turn !== this.turn) return;
        this.turn++;
        this.cutOff = null;
        this.answered(batch, reply);
      }
    );
    if (turn === this.turn) this.cutOff = cut;
  }

  private answered(batch: Batch, reply: Reply): void {
    const answer = parse(reply.body);
    const { status } = reply;
    const error = (answer.error || {}) as { code?: string; message?: string };
    const code = error.code || 'http_' + status;
    const message = error.message || '';
    if (status === 200 && typeof answer.accepted === 'number') {
      this.failures = 0;
      this.batches.remove(batch);
      this.stats.accepted += answer.accepted;
      this.stats.duplicates += Number(answer.duplicates) || 0;
      for (const one of Array.isArray(answer.rejected) ? answer.rejected : []) {
        this.stats.rejected++;
        this.fail({ code: String(one.code), message: one.path + ': ' + one.message, lost: 1 });
      }
    } else if (status === 401 || status === 403) {
      this.halted = true;
      this.fail({ code, message, lost: 0 });
    } else if (status === 413 && batch.events.length > 1) {
      this.batches.split(batch);
    } else if (status === 400 || status === 413) {
      this.batches.remove(batch);
      this.stats.dropped += batch.events.length;
      this.fail({ code, message, lost: batch.events.length });
    } else {
      this.backOff(reply.retryAfter);
      this.fail({ code: status === 200 ? 'not_an_answer' : code, message, lost: 0 });
    }
    this.next();
  }

  private backOff(retryAfter: string | null): void {
    const { retryBaseMs = 1000, retryCapMs = 300_000 } = this.options;
    const bound = Math.min(retryCapMs, retryBaseMs * Math.pow(2, Math.min(this.failures++, 30)));
    const wait = retryAfterMs(retryAfter, this.platform.now()) + Math.random() * bound;
    this.stats.retries++;
    this.cancelRetry = this.platform.after(wait, () => this.hurry());
  }

  private tell(gone: boolean): void {
    const waiting = this.waiting;
    this.waiting = [];
    for (const done of waiting) done(gone);
  }
}

export function endpoint(options: CoreOptions): string {
  return options.url.replace(/\/+$/, '') + '/v1/events';
}

export function bodyOf(batch: Batch, now: number): string {
  const id = JSON.stringify(batch.id);
  return '{"batch_id":' + id + ',"sent_at":' + now + ',"events":[' + batch.events.join() + ']}';
}

/** What Retry-After asks for, in milliseconds: seconds or a date. */
export function retryAfterMs(header: string | null, now: number): number {
  if (!header) return 0;
  const ms = /^\s*\d+\s*$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return ms > 0 ? Math.min(ms, RETRY_AFTER_CAP_MS) : 0;
}

function parse(text: string): { [name: string]: any } {
  try {
    const answer: unknown = JSON.parse(text);
    if (answer && typeof answer === 'object') return answer as { [name: string]: unknown };
  } catch (_) {
    // a page of a proxy
  }
  return {};
}
