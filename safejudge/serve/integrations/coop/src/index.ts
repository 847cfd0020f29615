/**
 * safejudge as an integration of ROOST's Coop: a score of the image, one of every rule of the card,
 * and a label. A score that cannot be had is an error; the label then says `failed` or `undecided`,
 * so that a rule can send such an image to a person.
 */

import type {
  CoopIntegrationPlugin,
  PluginSignalContext,
  PluginSignalDescriptor,
} from '@roostorg/coop-types';

import { readCard, type CardRule } from './card.js';
import { judge, NoScoreError, scoreOf, serverOf, type Judged } from './server.js';

const ID = 'SAFEJUDGE';
const SCORE = 'SAFEJUDGE_SCORE';
const LABEL = 'SAFEJUDGE_LABEL';
/** How long signals share what was found about an image: the conditions of one evaluation. */
const KEPT_MILLISECONDS = 10_000;
const MOST_KEPT = 1000;

const card = readCard(process.env.SAFEJUDGE_CARD);

/** `no_knives-here` -> `SAFEJUDGE_RULE_NO__KNIVES_HERE`: other ids have other names. */
function signalOf(rule: CardRule): string {
  return `SAFEJUDGE_RULE_${rule.id.replaceAll('_', '__').replaceAll('-', '_').toUpperCase()}`;
}

type Ask = (input: unknown) => Promise<Judged>;

/** Make what asks the server, once for all signals of one image. */
function asker(context: PluginSignalContext): Ask {
  const found = new Map<string, Promise<Judged>>();
  return async (input) => {
    const { value, orgId } = (input ?? {}) as { value?: unknown; orgId?: unknown };
    const { type, value: image } = (value ?? {}) as { type?: unknown; value?: { url?: unknown } };
    if (type !== 'IMAGE' || typeof image?.url !== 'string' || typeof orgId !== 'string') {
      throw new NoScoreError('safejudge: judges images, each by its address');
    }
    const server = serverOf(await context.getCredential(orgId));
    const name = JSON.stringify([orgId, server, image.url]);
    let asked = found.get(name);
    if (asked === undefined) {
      asked = judge(server, image.url);
      const forget = () => void found.delete(name);
      asked.then(() => setTimeout(forget, KEPT_MILLISECONDS).unref(), forget);
      if (found.size < MOST_KEPT) found.set(name, asked);
    }
    return asked;
  };
}

type Special = Pick<
  PluginSignalDescriptor,
  'displayName' | 'description' | 'recommendedThresholds' | 'outputType' | 'run'
>;

function descriptor(context: PluginSignalContext, type: string, special: Special) {
  const signal: PluginSignalDescriptor = {
    id: { type },
    docsUrl: null,
    supportedLanguages: 'ALL',
    pricingStructure: { type: 'FREE' },
    eligibleInputs: ['IMAGE'],
    getCost: () => 100,
    getDisabledInfo: async (orgId) => {
      try {
        serverOf(await context.getCredential(orgId));
        return { disabled: false };
      } catch (error) {
        return { disabled: true, disabledMessage: String((error as Error).message) };
      }
    },
    needsMatchingValues: false,
    eligibleSubcategories: [],
    needsActionPenalties: false,
    integration: context.integrationId,
    allowedInAutomatedRules: true,
    ...special,
  };
  return { signalTypeId: type, signal };
}

function score(context: PluginSignalContext, ask: Ask, rule: CardRule | null) {
  const outputType = { scalarType: 'NUMBER' };
  return descriptor(context, rule === null ? SCORE : signalOf(rule), {
    displayName: rule === null ? 'safejudge: any rule' : `safejudge: ${rule.id}`,
    description:
      rule === null
        ? 'How strongly the image violates the rule that it violates most, from 0 to 1.'
        : `How strongly the image violates the rule, from 0 to 1. ${rule.text}`,
    recommendedThresholds: rule === null ? null : rule.recommendedThresholds,
    outputType,
    run: async (input) => {
      const judged = await ask(input);
      if (rule !== null && card.revision !== judged.revision) {
        throw new NoScoreError(
          `safejudge: the card is of model ${card.revision.slice(0, 12)}, the server judges by ` +
            `${judged.revision.slice(0, 12)}, whose scores mean something else; make the card anew`,
        );
      }
      return { outputType, score: scoreOf(judged, rule === null ? null : rule.id) };
    },
  });
}

function label(context: PluginSignalContext, ask: Ask) {
  const outputType = {
    scalarType: 'STRING',
    enum: ['safe', 'unsafe', 'undecided', 'failed'],
    ordered: false,
  };
  return descriptor(context, LABEL, {
    displayName: 'safejudge: label',
    description:
      'safe, unsafe, undecided (send it to a person), or failed: nobody looked at the image.',
    recommendedThresholds: null,
    outputType,
    run: async (input) => {
      let said: string;
      try {
        const judged = await ask(input);
        said = judged.label === 'safe' && !judged.whole ? 'undecided' : judged.label;
      } catch (error) {
        if (!(error instanceof NoScoreError)) throw error;
        said = 'failed';
      }
      return { outputType, score: said };
    },
  });
}

const plugin: CoopIntegrationPlugin = {
  manifest: {
    id: ID,
    name: 'safejudge',
    version: '0.1.0',
    description: 'Judges images by rules that you write, on a server of your own.',
    requiresConfig: true,
    configurationFields: [
      {
        key: 'serverUrl',
        label: 'Address of safejudge serve',
        required: true,
        inputType: 'text',
        placeholder: 'https://safejudge.internal',
      },
      { key: 'apiKey', label: 'Key', required: false, inputType: 'password' },
      {
        key: 'timeoutSeconds',
        label: 'Seconds to wait for an image',
        required: false,
        inputType: 'text',
        placeholder: '30',
      },
    ],
    signalTypeIds: [SCORE, LABEL, ...card.rules.map(signalOf)],
    modelCard: card.modelCard,
  },
  createSignals: (context) => {
    const ask = asker(context);
    return [
      score(context, ask, null),
      label(context, ask),
      ...card.rules.map((rule) => score(context, ask, rule)),
    ];
  },
};

export default plugin;
