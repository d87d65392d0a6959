/**
 * Charts are drawn one after the other, each in a task of its own: a board's dozen in one would keep
 * the page from answering keys and clicks for a quarter of a second.
 */
let last: Promise<void> = Promise.resolve()

/** Comes when it is this one's turn. A message is a task at once; timers would wait 4 ms each. */
export function turn(): Promise<void> {
  last = last.then(
    () =>
      new Promise((done) => {
        const { port1, port2 } = new MessageChannel()
        port1.onmessage = () => {
          port1.close()
          done()
        }
        port2.postMessage(null)
      }),
  )
  return last
}
