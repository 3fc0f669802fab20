// What was published and is not yet confirmed to be kept (docs/protocol.md, "Receipts").

const EVERY_MESSAGES = 64;
const EVERY_MS = 50;
const REMEMBER_BYTES = 64 * 1024 * 1024;

export class Receipts {
  #open = []; // [number, payload], in order
  #bytes = 0;
  #inbox = "";
  #askedNumber = 0;
  #askedAt = -Infinity;

  /** Keep it until it is confirmed; the reply subject to ask for a confirmation with, now and then. */
  remember(number, payload) {
    this.#open.push([number, payload]);
    this.#bytes += payload.length;
    while (this.#bytes > REMEMBER_BYTES) this.#drop();
    const now = performance.now();
    if (number - this.#askedNumber < EVERY_MESSAGES && now - this.#askedAt < EVERY_MS) return undefined;
    this.#askedNumber = number;
    this.#askedAt = now;
    return `${this.#inbox}.${number}`;
  }

  /** On a new connection, before anything else is published: what the broker may not have kept. */
  restart(connection, again) {
    this.#inbox = `_INBOX.${Math.random().toString(36).slice(2)}${Date.now()}`;
    connection.subscribe(`${this.#inbox}.*`, { callback: (error, message) => error || this.#receipt(message) });
    this.#open.forEach(([number, payload], index) => {
      const last = index === this.#open.length - 1;
      connection.publish(again, payload, last ? { reply: `${this.#inbox}.${number}` } : undefined);
    });
  }

  #receipt(message) {
    const number = Number(message.subject.split(".").pop());
    const text = message.string();
    if (!text || "error" in JSON.parse(text)) console.error(`the broker cannot keep messages: ${text || "nobody listens"}`);
    while (this.#open.length && this.#open[0][0] <= number) this.#drop();
  }

  #drop() {
    this.#bytes -= this.#open.shift()[1].length;
  }
}
