/** How long a page was seen: time while it was visible. */
export class Stay {
  private since = 0;
  private sum = 0;

  constructor(private readonly now: () => number) {}

  /** A page comes up. */
  begin(visible: boolean): void {
    this.sum = 0;
    this.since = visible ? this.now() : 0;
  }

  visible(visible: boolean): void {
    if (visible && !this.since) this.since = this.now();
    if (!visible && this.since) {
      this.sum += this.now() - this.since;
      this.since = 0;
    }
  }

  /** Milliseconds until now; counting begins anew. */
  take(): number {
    const visible = this.since > 0;
    this.visible(false);
    const ms = this.sum;
    this.begin(visible);
    return Math.max(0, Math.round(ms));
  }
}
