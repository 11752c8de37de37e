/**
 * Scripts for shell completion, made from the tree of commands. Each walks the words of the line down the tree (a word
 * that begins with a dash is an option) and offers what the command that it reaches takes.
 */

import type { Command, Option } from 'commander';

interface Node {
  /** Words from the root, `collection create`; empty for the root. */
  readonly path: string;
  readonly commands: readonly { readonly name: string; readonly description: string }[];
  readonly options: readonly { readonly flag: string; readonly description: string; readonly takesValue: boolean; readonly choices: readonly string[] }[];
  /** Of its first positional argument. */
  readonly choices: readonly string[];
}

export function completionScript(program: Command, shell: 'bash' | 'zsh' | 'fish'): string {
  const nodes = [...walk(program, '', program.options)];
  switch (shell) {
    case 'bash':
      return bashScript(nodes);
    case 'zsh':
      return zshScript(nodes);
    case 'fish':
      return fishScript(nodes);
  }
}

function* walk(command: Command, path: string, globals: readonly Option[]): Iterable<Node> {
  const own = path === '' ? globals : [...command.options, ...globals];
  yield {
    path,
    commands: command.commands.map((child) => ({ name: child.name(), description: child.description() })),
    options: [
      ...own.map((option) => ({ flag: option.long!, description: option.description, takesValue: option.required || option.optional, choices: option.argChoices ?? [] })),
      { flag: '--help', description: 'show help', takesValue: false, choices: [] },
    ],
    choices: command.registeredArguments[0]?.argChoices ?? [],
  };
  for (const child of command.commands) yield* walk(child, path === '' ? child.name() : `${path} ${child.name()}`, globals);
}

/** Flags whose next word is a value, and with it a file name where no choices are known. */
function valueFlags(nodes: readonly Node[]): string[] {
  return [...new Set(nodes.flatMap((node) => node.options.filter((option) => option.takesValue).map((option) => option.flag)))];
}

function flagChoices(nodes: readonly Node[]): { key: string; choices: readonly string[] }[] {
  return nodes.flatMap((node) => node.options.filter((option) => option.choices.length > 0).map((option) => ({ key: `${node.path}|${option.flag}`, choices: option.choices })));
}

/** The walk, which bash and zsh read alike. (No variable is named path: in zsh that is PATH.) */
function walkFunction(nodes: readonly Node[]): string {
  const paths = nodes.filter((node) => node.path !== '').map((node) => `      '${node.path}') reached="$next" ;;`);
  return `_shoal_path() {
  local reached='' next='' word skip=0
  for word in "$@"; do
    if [ "$skip" = 1 ]; then skip=0; continue; fi
    case "$word" in
      ${valueFlags(nodes).join('|')}) skip=1; continue ;;
      -*) continue ;;
    esac
    next="\${reached:+$reached }$word"
    case "$next" in
${paths.join('\n')}
    esac
  done
  printf '%s' "$reached"
}`;
}

function offerCases(nodes: readonly Node[], indent: string): string {
  return nodes.map((node) => `${indent}'${node.path}') printf '%s\\n' ${[...node.commands.map(({ name }) => name), ...node.choices, ...node.options.map(({ flag }) => flag)].join(' ')} ;;`).join('\n');
}

function bashScript(nodes: readonly Node[]): string {
  return `# Completion of shoal for bash.
${walkFunction(nodes)}
_shoal_offers() {
  case "$1" in
${offerCases(nodes, '    ')}
  esac
}
_shoal_values() {
  case "$1" in
${flagChoices(nodes).map(({ key, choices }) => `    '${key}') printf '%s\\n' ${choices.join(' ')} ;;`).join('\n')}
  esac
}
_shoal() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" reached
  reached="$(_shoal_path "\${COMP_WORDS[@]:1:COMP_CWORD-1}")"
  local values
  values="$(_shoal_values "$reached|$before")"
  case "$before" in
    ${valueFlags(nodes).join('|')})
      if [ -n "$values" ]; then COMPREPLY=($(compgen -W "$values" -- "$current")); else COMPREPLY=($(compgen -f -- "$current")); fi
      return ;;
  esac
  COMPREPLY=($(compgen -W "$(_shoal_offers "$reached")" -- "$current"))
  if [ "\${#COMPREPLY[@]}" = 0 ]; then COMPREPLY=($(compgen -f -- "$current")); fi
}
complete -F _shoal shoal
`;
}

function zshScript(nodes: readonly Node[]): string {
  return `#compdef shoal
# Completion of shoal for zsh.
${walkFunction(nodes)}
_shoal_offers() {
  case "$1" in
${nodes.map((node) => `    '${node.path}') offers=(${[...node.commands.map(({ name, description }) => described(name, description)), ...node.choices, ...node.options.map(({ flag, description }) => described(flag, description))].join(' ')}) ;;`).join('\n')}
  esac
}
_shoal_values() {
  case "$1" in
${flagChoices(nodes).map(({ key, choices }) => `    '${key}') offers=(${choices.join(' ')}) ;;`).join('\n')}
  esac
}
_shoal() {
  local reached before="\${words[CURRENT-1]}"
  local -a offers
  reached="$(_shoal_path "\${(@)words[2,CURRENT-1]}")"
  case "$before" in
    ${valueFlags(nodes).join('|')})
      _shoal_values "$reached|$before"
      if (( \${#offers} )); then compadd -a offers; else _files; fi
      return ;;
  esac
  _shoal_offers "$reached"
  _describe 'shoal' offers || _files
}
if [ "\${funcstack[1]}" = _shoal ]; then _shoal "$@"; else compdef _shoal shoal; fi
`;
}

function described(name: string, description: string): string {
  return `'${`${name}:${description.replaceAll(':', '\\:')}`.replaceAll("'", `'\\''`)}'`;
}

function fishScript(nodes: readonly Node[]): string {
  const quoted = (text: string): string => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = nodes.flatMap((node) => {
    const condition = `-n ${quoted(`test (__shoal_path) = "${node.path}"`)}`;
    return [
      ...node.commands.map(({ name, description }) => `complete -c shoal -f ${condition} -a ${name} -d ${quoted(description)}`),
      ...node.choices.map((name) => `complete -c shoal -f ${condition} -a ${name}`),
      ...node.options.map(({ flag, description, takesValue, choices }) => {
        const value = !takesValue ? '' : choices.length > 0 ? ` -x -a ${quoted(choices.join(' '))}` : ' -r';
        return `complete -c shoal ${condition} -l ${flag.slice(2)}${value} -d ${quoted(description)}`;
      }),
    ];
  });
  return `# Completion of shoal for fish.
function __shoal_path
  set -l path
  set -l skip 0
  for word in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
      continue
    end
    switch $word
      case ${valueFlags(nodes).join(' ')}
        set skip 1
      case '-*'
      case '*'
        set -l next (string join ' ' $path $word)
        if contains -- $next ${nodes.filter((node) => node.path !== '').map((node) => quoted(node.path)).join(' ')}
          set path $next
        end
    end
  end
  echo "$path"
end
${lines.join('\n')}
`;
}
