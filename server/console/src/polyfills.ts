/** Methods that libraries use and Chromium 80 lacks. Only what is missing is added. */

type Loose = Record<string, unknown>

function add(on: object, name: string, value: unknown): void {
  if (!(name in on)) Object.defineProperty(on, name, { value, writable: true, configurable: true })
}

function at(this: ArrayLike<unknown>, index: number): unknown {
  const k = Math.trunc(index) || 0
  return this[k < 0 ? this.length + k : k]
}

add(Array.prototype, 'at', at)
add(String.prototype, 'at', at)
add(Object, 'hasOwn', (on: object, key: PropertyKey) => Object.prototype.hasOwnProperty.call(on, key))
add(String.prototype, 'replaceAll', function (this: string, what: string | RegExp, by: string) {
  return typeof what === 'string' ? this.split(what).join(by) : this.replace(what, by)
})
add(Array.prototype, 'findLast', function (this: unknown[], test: (v: unknown, i: number) => boolean) {
  for (let i = this.length - 1; i >= 0; i--) if (test(this[i], i)) return this[i]
  return undefined
})
add(Array.prototype, 'findLastIndex', function (this: unknown[], test: (v: unknown, i: number) => boolean) {
  for (let i = this.length - 1; i >= 0; i--) if (test(this[i], i)) return i
  return -1
})
if (typeof (globalThis as Loose).WeakRef === 'undefined') {
  ;(globalThis as Loose).WeakRef = class {
    constructor(private readonly kept: unknown) {}
    deref(): unknown {
      return this.kept
    }
  }
}
