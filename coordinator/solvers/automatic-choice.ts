import { enough, iterationsLeft } from './forecast.js';
import { firstRank } from './nystrom.js';

/** What a solve can go on with: CG, plain or with a preconditioner, or the dense matrix. */
export type Route = 'cg' | 'nystrom' | 'kfac' | 'direct';

/** What is known while CG is at work. Costs are in vectors multiplied; seconds of arithmetic count as what they would have multiplied. */
export interface Situation {
  /** p and K. */
  size: number;
  count: number;
  tolerance: number;
  /** CG's worst relative residual after each iteration on this route. */
  history: readonly number[];
  /** Iterations in all, by a look at the spectrum; one that was worth it, because there are many right-hand sides. */
  forecast?: number | undefined;
  /** Iterations at most, by the condition number that a low-rank approximation leaves. */
  bound?: number | undefined;
  /** Directions of an iteration. */
  width: number;
  /** Vectors multiplied so far, and those that may be yet. */
  spent: number;
  budget: number;
  /** Of one vector in a product. */
  seconds: number;
  /** Seconds of arithmetic that the dense matrix takes besides products, and the Kronecker factors. What cannot be had is left out. */
  direct?: number | undefined;
  kfac?: FactorSeconds | undefined;
  /** Vectors of a low-rank approximation at most. */
  mostRank: number;
  /** What was gone on with so far, and what plain CG had to go when it was left. */
  taken: readonly Route[];
  plain?: number | undefined;
}

export interface FactorSeconds {
  /** To make and to factorise them. */
  once: number;
  /** To apply them to a vector. */
  each: number;
}

export interface Decision {
  route: Route;
  why: string;
  /** The most vectors of a low-rank approximation. */
  rank?: number;
}

/** Of what the dense matrix costs, what may be lost by taking it late: so long CG may show how fast it is. */
const late = 0.19;
/** Early residuals tell too little good of CG, which grows faster: a change in its course has to gain this factor. */
const clearly = 2;
/** A low-rank approximation is made where CG has ten times its first sketch to go, so that little is lost. */
const worthIt = 10 * firstRank;
/** p is small beside K up to this ratio. */
const wide = 20;
/** Vectors that CG multiplies before its residuals are believed. */
const patience = 8;

/** Vectors that CG still multiplies: its iterations, and the check at the end. */
export function productsLeft({ history, tolerance, forecast, bound, width, count }: Situation): number {
  const left = iterationsLeft(history, tolerance, forecast);
  const most = bound === undefined || bound <= history.length ? Infinity : bound - history.length;
  return width * Math.min(left, most) + count;
}

/** Iterations of CG for a digit that are believed before they are seen. */
const slow = 13;
/** Iterations of block CG with a low-rank approximation for a digit: seen were 2.6 to 4.3 for K = 100, with spectra that fall by powers. */
const perDigit = 3;

/** What to change to, where that should cost clearly less than to go on; undefined where CG is to go on. */
export function changeOfRoute(situation: Situation): Decision | undefined {
  const { size, count, tolerance, history, width, spent, budget, seconds, direct, kfac } = situation;
  const { taken, plain, mostRank } = situation;
  const left = productsLeft(situation);
  const begun = history.length > 0;
  const isKnown = situation.forecast !== undefined || (history.length >= enough && spent >= patience);
  const why = (other: string) =>
    `${plain ? 'preconditioned ' : ''}${count > 1 ? 'block ' : ''}cg would take ${Number.isFinite(left) ? `about ${left}` : 'no end of'} products more, ${other}`;
  // What was measured so far is of single vectors, where CG has not begun: each of a block takes half or less.
  const each = begun || count === 1 ? seconds : seconds / 2;
  const equivalent = (arithmetic: number) => (each > 0 ? arithmetic / each : 0);

  const digits = Math.log10((history.at(-1) ?? 1) / tolerance);
  if (kfac !== undefined && !taken.includes('kfac')) {
    const iterations = Math.min((left - count) / width, slow * Math.max(0, digits));
    // Seen were 4, 6 and 4 iterations where plain CG took 10, 38 and 47.
    const fewer = Math.max(3, Math.ceil(Math.sqrt(history.length + iterations)));
    const iteration = width * (1 + equivalent(kfac.each));
    const cost = Math.ceil(2 + equivalent(kfac.once) + fewer * iteration + count);
    if (cost < (width * iterations + count) / 2 && cost <= budget)
      return { route: 'kfac', why: why(`with Kronecker factors about ${cost}`) };
  }

  const dense = direct === undefined ? Infinity : Math.ceil(size + count + equivalent(direct));
  const lowRank = 2 * firstRank + count * (1 - perDigit * Math.log10(tolerance));
  if (!begun && isKnown && dense < Math.min(left, lowRank) && dense <= budget)
    return { route: 'direct', why: why(`the dense matrix ${dense} (p = ${size})`) };
  const rank = Math.min(left / 2, budget / 2, dense / 2, mostRank);
  const isCheap = rank >= 2 * firstRank && 2 * firstRank <= late * dense;
  // A block of many directions gains little by a sketch that it spans itself.
  const isSlow =
    left > (begun ? clearly : 1) * worthIt &&
    (size > wide * count || left - count > perDigit * width * digits);
  if (!taken.includes('nystrom') && isKnown && isSlow && isCheap)
    return {
      route: 'nystrom',
      why: why('which a low-rank approximation should cut'),
      rank: firstRank * 2 ** Math.floor(Math.log2(rank / firstRank)),
    };
  const isDue = history.length >= enough && spent >= late * (size + count);
  if (isDue && clearly * dense < left && dense <= budget)
    return { route: 'direct', why: why(`the dense matrix ${dense} (p = ${size})`) };
  if (plain !== undefined && !taken.slice(1).includes('cg') && history.length >= patience && left > 2 * plain)
    return { route: 'cg', why: why(`without preconditioner about ${plain}`) };
  return undefined;
}

/** Where the dense matrix costs no more than the fewest iterations for K right-hand sides. */
export const isSmall = (size: number, count: number) => size <= 2 * count;

/**
 * Lanczos steps to look at the spectrum with: none where CG's own iterations tell as much, more where p is small beside K.
 * Each is a round over the farm, which takes as long as several vectors of a block.
 */
export function stepsOfLook(size: number, count: number): number {
  if (count < patience) return 0;
  return size <= wide * count ? Math.min(8, Math.floor((late / 2) * (size + count))) : 3;
}
