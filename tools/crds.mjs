// What is made of the schemas in crds/: TypeScript types of the objects, and their reference for people.
//
// A field is optional in the types unless the schema requires it or gives it a default: the API server fills that in
// before anybody reads the object.

import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { load } from 'js-yaml';

export const typesFile = 'crds/gen/objects.ts';
export const referenceFile = 'docs/reference/objects.md';

/** Path and content of every file that is generated. */
export function generatedFromCrds(root) {
  const definitions = readDefinitions(root);
  return new Map([
    [typesFile, typesOf(definitions)],
    [referenceFile, referenceOf(definitions)],
  ]);
}

export function readDefinitions(root) {
  const files = readdirSync(join(root, 'crds')).filter((file) => file.endsWith('.yaml'));
  return files.sort().map((file) => load(readFileSync(join(root, 'crds', file), 'utf8')));
}

function schemaOf(definition) {
  return definition.spec.versions.find(({ storage }) => storage).schema.openAPIV3Schema;
}

// Types

export function typesOf(definitions) {
  const parts = ['// Generated from crds/*.yaml by `npm run generate`. Do not edit.\n'];
  for (const definition of definitions) {
    const { kind } = definition.spec.names;
    const { spec, status } = schemaOf(definition).properties;
    for (const [name, schema] of [[`${kind}Spec`, spec], [`${kind}Status`, status]]) {
      parts.push(`${comment(schema, '')}export interface ${name} ${objectType(schema, '')}\n`);
    }
  }
  return parts.join('\n');
}

function objectType(schema, indent) {
  const inner = `${indent}  `;
  const fields = Object.entries(schema.properties).map(([name, field]) => {
    const isOptional = !(schema.required ?? []).includes(name) && field.default === undefined;
    return `${comment(field, inner)}${inner}readonly ${name}${isOptional ? '?' : ''}: ${typeOf(field, inner)};\n`;
  });
  return `{\n${fields.join('')}${indent}}`;
}

function typeOf(schema, indent) {
  if (schema.enum !== undefined) return schema.enum.map((word) => `'${word}'`).join(' | ');
  switch (schema.type) {
    case 'string':
      return 'string';
    case 'integer':
    case 'number':
      return 'number';
    case 'boolean':
      return 'boolean';
    case 'array': {
      const item = typeOf(schema.items, indent);
      return `readonly ${item.includes(' | ') && !item.startsWith('{') ? `(${item})` : item}[]`;
    }
    case 'object':
      return schema.properties === undefined ? `Readonly<Record<string, ${typeOf(schema.additionalProperties, indent)}>>` : objectType(schema, indent);
    default:
      throw new Error(`a schema of type ${schema.type} has no TypeScript type here`);
  }
}

function comment({ description }, indent) {
  return description === undefined ? '' : `${indent}/** ${description} */\n`;
}

// Reference

export function referenceOf(definitions) {
  const { group, versions } = definitions[0].spec;
  const parts = [
    `<!-- Generated from crds/*.yaml by \`npm run generate\`. Do not edit. -->\n\n# Reference of the objects of \`${group}/${versions[0].name}\`\n`,
    'What each kind is for, and who writes it, is in [Kubernetes objects](../kubernetes-objects.md). `kubectl explain` shows the same texts. Fields that are **required** have',
    'to be given; a *default* is filled in by the API server. A write that breaks one of the rules is refused with its message.\n',
  ];
  for (const definition of definitions) parts.push(...kindReference(definition));
  return `${parts.join('\n')}`;
}

function kindReference({ spec: { names, versions } }) {
  const [{ schema, subresources = {}, additionalPrinterColumns = [] }] = versions;
  const root = schema.openAPIV3Schema;
  const columns = additionalPrinterColumns.map(({ name, priority }) => (priority > 0 ? `*${name}*` : name));
  return [
    `## ${names.kind}\n`,
    `${root.description}\n`,
    `\`kubectl get ${names.shortNames[0]}\` shows ${columns.join(', ')}${columns.some((column) => column.startsWith('*')) ? ' (in italics with `-o wide`)' : ''}. Subresources: ${Object.keys(subresources).join(', ')}.\n`,
    '| field | type | |',
    '| --- | --- | --- |',
    ...fieldRows({ properties: { spec: root.properties.spec, status: root.properties.status }, required: ['spec'] }, ''),
    '',
    ...rulesReference(root),
  ];
}

function* fieldRows(schema, path) {
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const here = path === '' ? name : `${path}.${name}`;
    const traits = [
      (schema.required ?? []).includes(name) ? '**required**' : undefined,
      field.default === undefined ? undefined : `default \`${JSON.stringify(field.default)}\``,
      ...boundsOf(field),
    ].filter((trait) => trait !== undefined);
    yield `| \`${here}\` | ${typeName(field)} | ${cell([field.description ?? '', traits.length === 0 ? '' : `(${traits.join(', ')})`].filter((text) => text !== '').join(' '))} |`;
    yield* fieldRows(field, here);
    if (field.items !== undefined) yield* fieldRows(field.items, `${here}[]`);
  }
}

function boundsOf({ minimum, maximum, minLength, maxLength, maxItems, maxProperties, format }) {
  const range = minimum === undefined && maximum === undefined ? undefined : maximum === undefined ? `from ${minimum}` : `${minimum} to ${maximum}`;
  const length = maxLength === undefined ? undefined : `${minLength === undefined ? 'up to' : `${minLength} to`} ${maxLength} characters`;
  return [
    range,
    length,
    maxItems === undefined ? undefined : `up to ${maxItems} items`,
    maxProperties === undefined ? undefined : `up to ${maxProperties} entries`,
    format === 'date-time' ? 'RFC 3339' : undefined,
  ];
}

function typeName({ type, enum: words, items, additionalProperties }) {
  if (words !== undefined) return words.map((word) => `\`${word}\``).join(', ');
  if (type === 'array') return `list of ${items.enum === undefined ? `${items.type}s` : typeName(items)}`;
  return additionalProperties === undefined ? type : `map of ${additionalProperties.type}s`;
}

function rulesReference(root) {
  const rules = [...rulesIn(root, '')];
  return rules.length === 0 ? [] : ['Rules:\n', ...rules.map(([path, message]) => `- \`${path === '' ? 'the object' : path}\`: ${message}`), ''];
}

/** Every validation rule of a schema, with the path where it stands. */
export function* rulesIn(schema, path = '') {
  for (const { message, rule } of schema['x-kubernetes-validations'] ?? []) yield [path, message, rule];
  for (const [name, field] of Object.entries(schema.properties ?? {})) yield* rulesIn(field, path === '' ? name : `${path}.${name}`);
  if (schema.items !== undefined) yield* rulesIn(schema.items, `${path}[]`);
  if (schema.additionalProperties !== undefined) yield* rulesIn(schema.additionalProperties, `${path}{}`);
}

function cell(text) {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
