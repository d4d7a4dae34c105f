// A visitor of the Models view.

import assert from 'node:assert/strict';
import { Visitor } from './visitor.mjs';

export class Shelf {
  constructor(visitor) {
    this.visitor = visitor;
    this.page = visitor.page;
  }

  /** Opens the Models view; the picture view is ready. */
  static async open(browser, url, options = {}) {
    const visitor = await Visitor.open(browser, url, options);
    await visitor.is('ready');
    const shelf = new Shelf(visitor);
    await shelf.show();
    return shelf;
  }

  /** Goes to the Models view by its link. */
  async show() {
    await this.page.getByRole('link', { name: 'Models', exact: true }).click();
    await this.page.waitForSelector('.models');
  }

  /** Writes an address or a name and asks for it. */
  async ask(text) {
    await this.page.fill('#add-model', text);
    await this.page.getByRole('button', { name: 'Add', exact: true }).click();
  }

  /** Adds a model and waits until it is known what it is; returns its card. */
  async add(text, name) {
    await this.ask(text);
    const card = this.card(name);
    await card.locator('.outlook p').first().waitFor();
    return card;
  }

  card(name) {
    return this.page.getByRole('article', { name, exact: true });
  }

  /** Waits until a card says something. */
  says(card, pattern) {
    return card.filter({ hasText: pattern }).waitFor();
  }

  press(card, word) {
    return card.getByRole('button', { name: word }).click();
  }

  /** Files of models in the origin's private file system, with their lengths. */
  stored() {
    return this.page.evaluate(async () => {
      const root = await navigator.storage.getDirectory();
      const folder = await root.getDirectoryHandle('models', { create: true });
      const files = {};
      for await (const [name, handle] of folder.entries()) files[name] = (await handle.getFile()).size;
      return files;
    });
  }

  /** Changes a byte of a stored file. */
  damage(name, position) {
    return this.page.evaluate(
      async ([name, position]) => {
        const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('models');
        const handle = await folder.getFileHandle(name);
        const [byte] = new Uint8Array(await (await handle.getFile()).slice(position, position + 1).arrayBuffer());
        const file = await handle.createWritable({ keepExistingData: true });
        await file.write({ type: 'write', position, data: new Uint8Array([byte ^ 1]) });
        await file.close();
      },
      [name, position],
    );
  }

  /** Waits until the field to add models says what is wrong. */
  async refuses(text, pattern) {
    await this.ask(text);
    const error = this.page.locator('#add-model-error');
    await error.filter({ hasText: pattern }).waitFor();
    assert.equal(await this.page.getAttribute('#add-model', 'aria-invalid'), 'true');
  }

  leave() {
    return this.visitor.leave();
  }
}
