// A platform without a browser: a clock that is set, timers that are run, a collector in memory.

/** Answers posts by `script` (in order), then by storing; batches are stored once. */
export class Collector {
  constructor() {
    this.batches = new Map();
    this.events = [];
    this.requests = [];
    this.script = [];
    this.silent = false;
  }

  receive(body) {
    const batch = JSON.parse(body);
    const told = this.script.shift();
    this.requests.push({ body, batch });
    if (told && told !== 'lost') return { body: '', retryAfter: null, ...told };
    const known = this.batches.has(batch.batch_id);
    const text = JSON.stringify(batch.events);
    if (known && this.batches.get(batch.batch_id) !== text) throw new Error('the batch changed');
    this.batches.set(batch.batch_id, text);
    if (!known) this.events.push(...batch.events);
    if (told === 'lost') return { status: 0, body: '', retryAfter: null };
    const count = batch.events.length;
    const answer = { accepted: known ? 0 : count, duplicates: known ? count : 0, rejected: [] };
    return { status: 200, body: JSON.stringify(answer), retryAfter: null };
  }

  get numbers() {
    return this.events.map((event) => event.properties.n);
  }
}

export function memoryStore(map = new Map(), room = Infinity) {
  return {
    map,
    get: (key) => (map.has(key) ? map.get(key) : null),
    set(key, value) {
      let size = key.length + value.length;
      for (const [other, text] of map) if (other !== key) size += other.length + text.length;
      if (size > room) return false;
      map.set(key, value);
      return true;
    },
    remove: (key) => void map.delete(key),
    keys: () => [...map.keys()],
  };
}

export function platform(collector, settings = {}) {
  const timers = new Set();
  return {
    store: memoryStore(),
    lib: 'test',
    adoptAfterMs: 60_000,
    time: 1_790_000_000_000,
    timers,
    cut: 0,
    now() {
      return this.time;
    },
    random: (bytes) => globalThis.crypto.getRandomValues(bytes),
    post(url, key, body, done) {
      this.last = { url, key };
      if (collector.silent) return () => this.cut++;
      done(collector.receive(body));
      return () => this.cut++;
    },
    after(ms, work) {
      const timer = { at: this.time + ms, ms, work };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    /** Let time pass, and run what is due. */
    pass(ms) {
      this.time += ms;
      for (const timer of [...timers]) {
        if (timer.at <= this.time && timers.delete(timer)) timer.work();
      }
    },
    ...settings,
  };
}
