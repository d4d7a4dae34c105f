// Server-sent events as they come, with what names and numbers them.

/** An open stream of events; `response` is its answer. */
export class Events {
  #controller = new AbortController();
  #text = '';
  #chunks;

  /** Opens `path` of a client, `GET` unless there is a body. */
  static async open(client, path, { body, headers = {} } = {}) {
    const events = new Events();
    events.response = await fetch(new URL(path, client.url), {
      method: body === undefined ? 'GET' : 'POST',
      signal: events.#controller.signal,
      headers: {
        authorization: `Bearer ${client.key}`,
        accept: 'text/event-stream',
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    events.#chunks = events.response.body.pipeThrough(new TextDecoderStream())[Symbol.asyncIterator]();
    return events;
  }

  /** The next event, `{id, name, data}`; nothing when the stream has ended. Comments and hints are passed over. */
  async next() {
    for (;;) {
      const end = this.#text.indexOf('\n\n');
      if (end < 0) {
        const { done, value } = await this.#chunks.next();
        if (done) return null;
        this.#text += value;
        continue;
      }
      const block = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 2);
      const event = read(block);
      if (event) return event;
    }
  }

  /** Every further event, up to the end of the stream. */
  async rest() {
    const events = [];
    for (let event = await this.next(); event; event = await this.next()) events.push(event);
    return events;
  }

  /** The next `count` events. */
  async take(count) {
    const events = [];
    while (events.length < count) events.push(await this.next());
    return events;
  }

  /** Goes away in the middle. */
  close() {
    this.#controller.abort();
  }
}

function read(block) {
  const fields = Object.fromEntries(
    block
      .split('\n')
      .filter((line) => !line.startsWith(':'))
      .map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trimStart()]),
  );
  return fields.data === undefined ? null : { id: Number(fields.id), name: fields.event, data: JSON.parse(fields.data) };
}
