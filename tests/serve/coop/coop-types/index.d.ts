// What our package uses of @roostorg/coop-types 2.4.0, where npm does not have it. The facts are of
// types/integration.ts in github.com/roostorg/coop at 1c1f54d (21 August 2026); the words are ours.

type Field = Readonly<{ label: string; value: string }>;
type Subsection = Readonly<{ title: string; fields: readonly Field[] }>;
type Section = Readonly<{
  id: string;
  title: string;
  subsections?: readonly Subsection[];
  fields?: readonly Field[];
}>;

export type ModelCard = Readonly<{
  modelName: string;
  version: string;
  releaseDate?: string;
  sections?: readonly Section[];
}>;

type ConfigField = Readonly<{
  key: string;
  label: string;
  required: boolean;
  inputType: 'text' | 'password' | 'json' | 'array';
  placeholder?: string;
  description?: string;
}>;

type Manifest = Readonly<{
  id: string;
  name: string;
  version: string;
  description?: string;
  docsUrl?: string;
  requiresConfig: boolean;
  configurationFields?: readonly ConfigField[];
  signalTypeIds?: readonly string[];
  modelCard?: ModelCard;
}>;

export type PluginSignalContext = Readonly<{
  integrationId: string;
  getCredential: (orgId: string) => Promise<Record<string, unknown>>;
}>;

type Disabled =
  | { disabled: false; disabledMessage?: string }
  | { disabled: true; disabledMessage: string };

export type PluginSignalDescriptor = Readonly<{
  id: Readonly<{ type: string }>;
  displayName: string;
  description: string;
  docsUrl: string | null;
  recommendedThresholds: Readonly<{
    highPrecisionThreshold: string | number;
    highRecallThreshold: string | number;
  }> | null;
  supportedLanguages: readonly string[] | 'ALL';
  pricingStructure: Readonly<{ type: 'FREE' | 'SUBSCRIPTION' }>;
  eligibleInputs: readonly string[];
  outputType: Readonly<{ scalarType: string }>;
  getCost: () => number;
  run: (input: unknown) => Promise<unknown>;
  getDisabledInfo: (orgId: string) => Promise<Disabled>;
  needsMatchingValues: boolean;
  eligibleSubcategories: ReadonlyArray<{
    id: string;
    label: string;
    description?: string;
    childrenIds: readonly string[];
  }>;
  needsActionPenalties: boolean;
  integration: string;
  allowedInAutomatedRules: boolean;
}>;

type Made = Readonly<{ signalTypeId: string; signal: PluginSignalDescriptor }>;

export type CoopIntegrationPlugin = Readonly<{
  manifest: Manifest;
  configSchema?: unknown;
  createSignals?: (context: PluginSignalContext) => readonly Made[];
}>;
