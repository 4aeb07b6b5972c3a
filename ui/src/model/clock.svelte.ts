/** The window's one ticker: a second apart, and still while nobody looks. */
export class Clock {
  now = $state(Date.now());

  tick = (): void => {
    this.now = Date.now();
  };

  start(): () => void {
    let timer: ReturnType<typeof setInterval> | undefined;
    const follow = () => {
      clearInterval(timer);
      if (document.hidden) return;
      this.tick();
      timer = setInterval(this.tick, 1000);
    };
    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", follow);
    };
  }
}
