// The page with the demo model, on a first and on a second visit.

import { isModel } from '../e2e/support/proxy.mjs';
import { Visitor } from '../e2e/support/visitor.mjs';

const PROMPT = 'a red apple on a blue background';
const MB = 1e6;

/** Figures of one device, with pictures of `steps` steps. */
export async function playgroundFigures(browser, proxy, device, steps) {
  proxy.forget();
  const visitor = await Visitor.open(browser, proxy.url, { query: `?device=${device}` });
  const cold = await firstPicture(visitor, steps);
  const all = bytes(proxy.requests);
  const model = bytes(proxy.requests.filter(isModel));

  proxy.forget();
  await visitor.page.reload();
  const warm = await firstPicture(visitor, steps);
  const modelAgain = bytes(proxy.requests.filter(isModel));

  const used = await visitor.device();
  const data = (name) => visitor.page.getAttribute('html', `data-${name}`).then(Number);
  const figures = [
    ['bytes fetched, cold', all / MB, 'MB'],
    ['bytes of the model fetched, cold', model / MB, 'MB'],
    ['bytes of the model fetched, warm', modelAgain / MB, 'MB'],
    [`navigation to first picture of ${steps} steps, cold`, cold.seconds, 's'],
    [`navigation to first picture of ${steps} steps, warm`, warm.seconds, 's'],
    ...cold.phases.map(([name, seconds]) => [`cold start, ${name}`, seconds, 's']),
    ['seconds per step', warm.secondsPerStep, 's'],
    ['peak wasm memory', (await data('wasm-memory')) / MB, 'MB'],
    ['bytes of weights on the device', (await data('device-bytes')) / MB, 'MB'],
  ];
  await visitor.leave();
  if (used !== device) throw new Error(`the page went from ${device} to ${used}`);
  return figures.map(([name, value, unit]) => ({ name: `browser ${device}: ${name}`, value, unit }));
}

/** Asks for a picture as soon as there is a form; the page begins when it can. */
async function firstPicture(visitor, steps) {
  await visitor.page.waitForSelector('#prompt');
  await visitor.ask({ prompt: PROMPT, steps, seed: 1 });
  await visitor.page.keyboard.press('Control+Enter');
  await visitor.page.waitForFunction(() => performance.getEntriesByName('first-picture').length > 0);
  await visitor.is('ready');
  const { events, startedAt } = await visitor.seen();
  const denoising = events.filter(({ progress }) => progress?.phase === 'denoising' && progress.seconds_per_step);
  const milliseconds = await visitor.page.evaluate(() => performance.getEntriesByName('first-picture')[0].startTime);
  const phases = phasesOf(events, startedAt, milliseconds);
  return { seconds: milliseconds / 1000, secondsPerStep: denoising.at(-1).progress.seconds_per_step, phases };
}

/** What follows what from navigation to the picture: `[name, seconds]`. */
function phasesOf(events, startedAt, end) {
  const last = (type) => events.findLast((event) => event.type === type)?.at;
  const denoising = events.find(({ progress }) => progress?.phase === 'denoising')?.at;
  const decoding = events.find(({ progress }) => progress?.phase === 'decoding')?.at;
  const marks = [
    ['page and engine fetched and compiled', startedAt],
    ['device chosen', last('device')],
    ['model fetched and verified', last('download')],
    ['model on the device', last('ready')],
    ['prompt encoded', denoising],
    ['denoised', decoding],
    ['decoded and shown', end],
  ];
  return marks.map(([name, at], index) => [name, (at - (index ? marks[index - 1][1] : 0)) / 1000]);
}

function bytes(requests) {
  return requests.reduce((sum, request) => sum + request.bytes, 0);
}
