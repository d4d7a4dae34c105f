// Someone who opens the page, with storage of their own.

import { readFile } from 'node:fs/promises';
import { record } from './recorder.mjs';

/** Software WebGPU compiles for minutes on a busy machine; nothing here is a measurement. */
const PATIENCE = 300_000;

export class Visitor {
  /** Errors and warnings of the console, and exceptions. */
  complaints = [];

  constructor(context, page) {
    this.context = context;
    this.page = page;
    page.on('pageerror', (error) => this.complaints.push(`${error}`));
    page.on('console', (message) => {
      // On a host of files the page finds out that there is no edge behind it, and the browser notes the 404.
      const isAboutEdge = message.location().url.endsWith('/v1/models');
      if (!isAboutEdge && ['error', 'warning'].includes(message.type())) this.complaints.push(message.text());
    });
  }

  /** Opens the page in a context of its own. */
  static async open(browser, url, { query = '', prepare = async () => {}, ...options } = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
    context.setDefaultTimeout(PATIENCE);
    await context.addInitScript(record);
    const page = await context.newPage();
    await prepare(page);
    const visitor = new Visitor(context, page);
    await page.goto(url + query);
    return visitor;
  }

  leave() {
    return this.context.close();
  }

  /** Waits until `<html>` is in a state, and perhaps on a device. */
  async is(state, device) {
    const selector = `html[data-state=${state}]` + (device ? `[data-device=${device}]` : '');
    await this.page.waitForSelector(selector, { state: 'attached' });
  }

  async device() {
    return this.page.getAttribute('html', 'data-device');
  }

  /** Fills the form. */
  async ask({ prompt, steps, seed, pictures }) {
    const fields = { prompt, steps, seed, pictures };
    await this.openSettings();
    for (const [id, value] of Object.entries(fields)) {
      if (value !== undefined) await this.page.fill(`#${id}`, String(value));
    }
  }

  async openSettings() {
    await this.page.evaluate(() => {
      document.querySelector('details.settings').open = true;
    });
  }

  run() {
    return this.page.getByRole('button', { name: 'Run here' }).click();
  }

  /** Waits until the gallery has so many pictures. */
  async has(pictures) {
    await this.page.waitForFunction((count) => document.querySelectorAll('.print').length === count, pictures);
  }

  /** Fills the form, runs, and returns the newest picture's PNG file. */
  async draw(request) {
    const before = await this.page.locator('.print').count();
    await this.ask(request);
    await this.run();
    await this.has(before + (request.pictures ?? 1));
    await this.is('ready');
    return this.save();
  }

  /** Saves the picture on the stage as visitors do. */
  async save() {
    const [download] = await Promise.all([
      this.page.waitForEvent('download'),
      this.page.click('.caption >> text=Download PNG'),
    ]);
    const path = await download.path();
    return { path, name: download.suggestedFilename(), bytes: await readFile(path) };
  }

  /** What was heard and said since the page was loaded. */
  seen() {
    return this.page.evaluate(() => window.seen);
  }

  /** Waits for an event of the engine that `matches` picks. */
  async hears(matches) {
    const deadline = Date.now() + PATIENCE;
    while (!(await this.seen()).events.some(matches)) {
      if (Date.now() > deadline) throw new Error('the engine did not say what was waited for');
      await this.page.waitForTimeout(50);
    }
  }

  /** Waits until the page says something like this, and returns what it says. */
  async reads(pattern) {
    const handle = await this.page.waitForFunction(
      (source) => window.seen.notices.find((text) => new RegExp(source, 'i').test(text)),
      pattern.source,
    );
    return handle.jsonValue();
  }

  /** What the visitor can read now above the stage. */
  notice() {
    return this.page.locator('.developing [role=alert]').innerText();
  }
}
