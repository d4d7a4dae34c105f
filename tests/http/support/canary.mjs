// Listeners at this machine's own addresses, which nothing of the service may ever connect to.

import { once } from 'node:events';
import net from 'node:net';
import { networkInterfaces } from 'node:os';

const LOOPBACK = ['127.0.0.1', '::1'];
const PRIVATE = /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.|f[cd])/;

export class Canary {
  /** Connections that were taken, as `address:port`. */
  connections = [];
  /** Addresses that are listened at. */
  addresses = [];

  #servers = [];

  /** Listens at every loopback and private address: on one free port, and on those of the web as far as the system lets us. */
  static async start() {
    const canary = new Canary();
    const own = Object.values(networkInterfaces()).flat().map(({ address }) => address);
    for (const address of [...LOOPBACK, ...own.filter((address) => PRIVATE.test(address))]) {
      const port = await canary.#listen(address, canary.port ?? 0);
      if (port === null) continue;
      canary.port = port;
      canary.addresses.push(address);
      for (const known of [80, 443]) await canary.#listen(address, known);
    }
    if (!canary.addresses.includes('127.0.0.1')) throw new Error('there is no listener at 127.0.0.1');
    return canary;
  }

  /** Addresses as URLs have them. */
  get hosts() {
    return this.addresses.map((address) => (address.includes(':') ? `[${address}]` : address));
  }

  async stop() {
    for (const server of this.#servers) {
      server.close();
      await once(server, 'close');
    }
  }

  async #listen(address, port) {
    const server = net.createServer((socket) => {
      this.connections.push(`${address}:${socket.localPort}`);
      socket.destroy();
    });
    server.listen(port, address);
    try {
      await once(server, 'listening');
    } catch {
      // No such address here, or a port that only the system may have.
      return null;
    }
    this.#servers.push(server);
    return server.address().port;
  }
}
