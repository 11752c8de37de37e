/** Where data pods listen for each other, as `--pod-addresses` says: a template, or a list of names. */

import { invalid } from '../kernel/options.ts';

/** `addresses`: `{pod}.shoal-pods.{namespace}.svc:7600`, or `a=127.0.0.1:7601,b=127.0.0.1:7602`. */
export function podAddresses(addresses: string, namespace: string): (pod: string) => string | undefined {
  if (!addresses.includes('=')) {
    if (!addresses.includes('{pod}')) throw invalid(`--pod-addresses is "${addresses}"; it must hold {pod}, or be a list name=host:port,…`);
    return (pod) => addresses.replaceAll('{pod}', pod).replaceAll('{namespace}', namespace);
  }
  const listed = new Map<string, string>();
  for (const item of addresses.split(',')) {
    const [, name, address] = /^\s*([^=\s]+)=(\S+:\d+)\s*$/.exec(item) ?? [];
    if (name === undefined || address === undefined) throw invalid(`--pod-addresses has "${item}"; an item must be name=host:port`);
    listed.set(name, address);
  }
  return (pod) => listed.get(pod);
}
