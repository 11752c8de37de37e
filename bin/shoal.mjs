#!/usr/bin/env node
// The command `shoal` of a checkout or a linked package.

process.argv.splice(2, 0, 'shoal');
await import('../launcher.mjs');
