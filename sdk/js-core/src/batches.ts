/**
 * Events that wait: one open batch that fills, and sealed ones in their order. Each is an entry of
 * storage, `<prefix>q:<batch id>` → `<written, ms>|<event>\n<event>…`, so that it outlives the page.
 *
 * Tabs share the storage without locks. Who finds an entry that nobody wrote to for a while takes
 * it over: it writes it under a new time and sends it. The page that made it, should it still live, sees by the
 * entry's stamp that it is another's now, and lets it go. Should both send it, they send the same
 * batch id, and the collector stores it once. An open batch that was taken gets no more events:
 * its page goes on with another id.
 */
import type { Platform, Store } from './types.js';
import { uuid } from './ids.js';

const BATCH_CHARACTERS = 48_000; // what a beacon takes is 64 KB of UTF-8, in all

export interface Batch {
  readonly id: string;
  events: string[];
  size: number;
  /** What stands in storage for it; '' when nothing does. */
  stamp: string;
}

export class Batches {
  sealed: Batch[] = [];
  size = 0;
  private open: Batch | null = null;
  private readonly store: Store;

  constructor(
    private readonly platform: Platform,
    private readonly prefix: string,
    private readonly batchEvents: number,
    private readonly maxSize: number,
    private readonly dropped: (events: number) => void
  ) {
    this.store = platform.store;
  }

  /** Whether that sealed a batch. */
  add(event: string): boolean {
    let sealed = false;
    if (this.open && !this.owns(this.open)) {
      this.size -= this.open.size;
      this.open = null;
    }
    if (this.open && this.open.size + event.length > BATCH_CHARACTERS) {
      this.seal();
      sealed = true;
    }
    if (!this.open) this.open = { id: uuid(this.platform.random), events: [], size: 0, stamp: '' };
    const batch = this.open;
    batch.events.push(event);
    batch.size += event.length;
    this.size += event.length;
    this.write(batch);
    if (batch.events.length >= this.batchEvents) {
      this.seal();
      sealed = true;
    }
    while (this.size > this.maxSize && this.sealed.length) {
      const oldest = this.sealed[0]!;
      this.remove(oldest);
      this.dropped(oldest.events.length);
    }
    return sealed;
  }

  /** The open batch takes no more events. */
  seal(): void {
    if (this.open) this.sealed.push(this.open);
    this.open = null;
  }

  /** The sealed batch that goes next. */
  head(): Batch | null {
    for (;;) {
      const batch = this.sealed[0];
      if (!batch) return null;
      if (this.owns(batch)) return batch;
      this.forget(batch);
    }
  }

  isEmpty(): boolean {
    return !this.open && !this.sealed.length;
  }

  /** It is done with. */
  remove(batch: Batch): void {
    if (this.forget(batch) && batch.stamp && this.owns(batch)) this.store.remove(this.key(batch.id));
  }

  /** Two halves in its place, with ids that follow from its own. */
  split(batch: Batch): void {
    const place = this.sealed.indexOf(batch);
    if (place < 0) return;
    const middle = batch.events.length >> 1;
    const halves = [batch.events.slice(0, middle), batch.events.slice(middle)].map((events, k) =>
      this.make(batch.id + '.' + k, events)
    );
    halves.forEach((half) => this.write(half));
    this.sealed.splice(place, 0, ...halves);
    this.size += batch.size;
    this.remove(batch);
  }

  /** Take over what others left: before, or in a tab that was closed. */
  adopt(): void {
    const start = this.prefix + 'q:';
    const now = this.platform.now();
    const found: Array<{ written: number; batch: Batch }> = [];
    for (const key of this.store.keys()) {
      if (key.slice(0, start.length) !== start) continue;
      const id = key.slice(start.length);
      const text = this.store.get(key) || '';
      const bar = text.indexOf('|');
      const written = parseInt(text, 10) || 0;
      if (written && Math.abs(now - written) < this.platform.adoptAfterMs) continue;
      if (this.sealed.some((batch) => batch.id === id) || (this.open && this.open.id === id)) continue;
      const events = text.slice(bar + 1).split('\n');
      if (bar < 0 || !events.every((event) => event[0] === '{' && event.slice(-1) === '}')) {
        this.store.remove(key);
      } else {
        found.push({ written, batch: this.make(id, events) });
      }
    }
    found.sort((a, b) => a.written - b.written);
    for (const { batch } of found) {
      this.write(batch);
      this.sealed.push(batch);
      this.size += batch.size;
    }
  }

  /** The page goes away: whoever comes next may take everything at once. */
  release(): void {
    for (const batch of this.sealed) {
      if (batch.stamp && this.owns(batch)) this.write(batch, 0);
    }
  }

  /** Forget everything, also what other tabs keep; how many events of this one that were. */
  purge(): number {
    let gone = this.open ? this.open.events.length : 0;
    for (const batch of this.sealed) gone += batch.events.length;
    this.open = null;
    this.sealed = [];
    this.size = 0;
    const start = this.prefix + 'q:';
    for (const key of this.store.keys()) {
      if (key.slice(0, start.length) === start) this.store.remove(key);
    }
    return gone;
  }

  private make(id: string, events: string[]): Batch {
    return { id, events, size: events.reduce((sum, event) => sum + event.length, 0), stamp: '' };
  }

  private key(id: string): string {
    return this.prefix + 'q:' + id;
  }

  private owns(batch: Batch): boolean {
    if (!batch.stamp) return true;
    const text = this.store.get(this.key(batch.id));
    return text !== null && text.slice(0, batch.stamp.length) === batch.stamp;
  }

  private write(batch: Batch, written = this.platform.now()): void {
    // Milliseconds alone could be another tab's as well.
    const stamp = written + (written ? '.' + uuid(this.platform.random).slice(0, 4) : '') + '|';
    if (this.store.set(this.key(batch.id), stamp + batch.events.join('\n'))) {
      batch.stamp = stamp;
    } else if (batch.stamp) {
      // What stands there lacks the last event: nobody may send it under this id.
      this.store.remove(this.key(batch.id));
      batch.stamp = '';
    }
  }

  private forget(batch: Batch): boolean {
    const place = this.sealed.indexOf(batch);
    if (place < 0) return false;
    this.sealed.splice(place, 1);
    this.size -= batch.size;
    return true;
  }
}
