/** The model card that `safejudge card RUN --out card.json` writes; without one, what is unknown. */

import { readFileSync } from 'node:fs';

import type { ModelCard, PluginSignalDescriptor } from '@roostorg/coop-types';

export type CardRule = Readonly<{
  id: string;
  text: string;
  recommendedThresholds: PluginSignalDescriptor['recommendedThresholds'];
}>;

export type Card = Readonly<{
  modelCard: ModelCard;
  rules: readonly CardRule[];
  /** Of the model that was measured; '' where it is not known. */
  revision: string;
}>;

const SECTIONS = {
  trainingData: 'Training data',
  policyAndTaxonomy: 'Policy and taxonomy',
  annotationMethodology: 'Annotation methodology',
  performanceBenchmarks: 'Performance',
  biasAndLimitations: 'Bias and limits',
  implementationGuidance: 'How to use it',
  relevantLinks: 'Links',
};
const HINT = 'unknown: measure your judge with safejudge eval, and name its card by SAFEJUDGE_CARD';

const EMPTY: Card = {
  modelCard: {
    modelName: 'safejudge',
    version: 'unknown',
    sections: Object.entries(SECTIONS).map(([id, title]) => ({
      id,
      title,
      fields: [{ label: 'Not measured', value: HINT }],
    })),
  },
  rules: [],
  revision: '',
};

/** Read the card at a path. Throws what Coop shows at its start where it is none. */
export function readCard(path: string | undefined): Card {
  if (path === undefined || path === '') return EMPTY;
  const { modelName, version, releaseDate, sections, safejudge } = JSON.parse(
    readFileSync(path, 'utf8'),
  );
  if (safejudge?.form !== 1 || !Array.isArray(sections) || !Array.isArray(safejudge.rules)) {
    throw new Error(`${path}: is no card of safejudge; make one with safejudge card RUN --out`);
  }
  return {
    // Coop is given what it knows and no more.
    modelCard: { modelName, version, sections, ...(releaseDate == null ? {} : { releaseDate }) },
    rules: safejudge.rules,
    revision: safejudge.provenance.revision,
  };
}
