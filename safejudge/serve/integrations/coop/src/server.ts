/** One image in, what `safejudge serve` found about it out. What was not judged is an error. */

/** Where an org's server is, as Coop stores it. */
export type Server = Readonly<{ url: string; key: string; milliseconds: number }>;

export type Verdict = Readonly<{
  outcome: 'violated' | 'not_violated' | 'undecided' | 'not_relevant';
  score: number | null;
}>;

export type Judged = Readonly<{
  label: 'safe' | 'unsafe' | 'undecided';
  score: number | null;
  rules: Readonly<Record<string, Verdict>>;
  /** False where nobody looked at some of its frames. */
  whole: boolean;
  /** Of the model that judged. */
  revision: string;
}>;

/** No score can be had. Coop takes what is thrown for an error of the signal, never for a score. */
export class NoScoreError extends Error {
  override readonly name = 'SafejudgeNoScoreError';
}

const MILLISECONDS = 30_000;
const LABELS: readonly unknown[] = ['safe', 'unsafe', 'undecided'];

/** Read what an org has stored. Throws `NoScoreError` where it is no server's address. */
export function serverOf(config: Record<string, unknown> | null | undefined): Server {
  const { serverUrl, apiKey, timeoutSeconds } = config ?? {};
  const seconds = timeoutSeconds == null || timeoutSeconds === '' ? NaN : Number(timeoutSeconds);
  let url: URL;
  try {
    url = new URL(String(serverUrl));
  } catch {
    throw new NoScoreError('safejudge: no server; set its address in the settings of the org');
  }
  if (!['http:', 'https:'].includes(url.protocol) || url.username || url.password) {
    throw new NoScoreError('safejudge: the address of the server is http(s)://HOST, without a key');
  }
  return {
    url: url.href.replace(/\/+$/, ''),
    key: typeof apiKey === 'string' ? apiKey : '',
    milliseconds: seconds > 0 && seconds <= 600 ? seconds * 1000 : MILLISECONDS,
  };
}

/** Ask about one image, by its address or as a data URL. Throws `NoScoreError`. */
export async function judge(server: Server, image: string): Promise<Judged> {
  let status: number;
  let reply: unknown;
  try {
    const response = await fetch(`${server.url}/v1/judge`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'x-deadline-seconds': String(server.milliseconds / 1000),
        ...(server.key === '' ? {} : { authorization: `Bearer ${server.key}` }),
      },
      body: JSON.stringify({ images: [{ image }] }),
      // A redirect would carry the key to somebody else.
      redirect: 'error',
      signal: AbortSignal.timeout(server.milliseconds),
    });
    status = response.status;
    reply = await response.json();
  } catch (error) {
    throw new NoScoreError(`safejudge: no answer (${nameOf(error)}); is the server up?`);
  }
  if (status !== 200) {
    const fault = object(object(reply).error);
    throw new NoScoreError(`safejudge: status ${status}: ${fault.code}: ${fault.message}`);
  }
  return judgedOf(object(reply));
}

function judgedOf(reply: Record<string, unknown>): Judged {
  const coverage = object(reply.coverage);
  const { received, judged, failed, frames_unseen: unseen, revision } = coverage;
  const [record, ...others] = Array.isArray(reply.results) ? reply.results.map(object) : [];
  if (received !== 1 || judged !== 1 || failed !== 0 || record == null || others.length > 0) {
    throw new NoScoreError('safejudge: the reply does not say that the image was looked at');
  }
  if (!LABELS.includes(record.label)) {
    throw new NoScoreError('safejudge: the reply has no label');
  }
  return {
    label: record.label as Judged['label'],
    score: record.score as Judged['score'],
    rules: object(record.rules) as Judged['rules'],
    whole: unseen === 0,
    revision: String(revision),
  };
}

/** Return a score of a rule, or of the image without one. Throws `NoScoreError`; never guesses. */
export function scoreOf(judged: Judged, rule: string | null): number {
  const verdict = rule === null ? null : judged.rules[rule];
  if (verdict === undefined) {
    throw new NoScoreError(`safejudge: the server has no rule ${rule}; make the card anew`);
  }
  const outcome = verdict === null ? judged.label : verdict.outcome;
  const score = verdict === null ? judged.score : verdict.score;
  if (outcome === 'undecided') {
    throw new NoScoreError('safejudge: undecided; send the image to a person');
  }
  if (!judged.whole && outcome !== 'violated' && outcome !== 'unsafe') {
    throw new NoScoreError('safejudge: not looked at whole; send the image to a person');
  }
  if (outcome === 'not_relevant' || (outcome === 'safe' && score === null)) {
    return 0; // a verdict: the relevance filter found the image too unlike the rules to ask
  }
  if (typeof score !== 'number' || !(score >= 0 && score <= 1)) {
    throw new NoScoreError('safejudge: the reply has no score');
  }
  return score;
}

function object(value: unknown): Record<string, unknown> {
  return value !== null && typeof value === 'object' ? (value as Record<string, unknown>) : {};
}

function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : typeof error;
}
