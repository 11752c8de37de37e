/** Every format: what is written reads back; a reader goes on from any row; malformed files are refused with the place. */

import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import fc from 'fast-check';
import { ShoalError } from '../../kernel/errors.ts';
import { openReader, openWriter, formatOf } from './open-format.ts';
import { formatNames, type FilePoint, type FileRow, type FormatName, type Position, type ReaderOptions } from './point-file.ts';
import { typedCell } from './csv.ts';

const never = new AbortController().signal;
let directory: string;
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'shoal-formats-'));
});
after(() => rm(directory, { recursive: true, force: true }));

let fileCount = 0;
function newPath(format: string): string {
  return join(directory, `${++fileCount}.${format}`);
}

async function readRows(format: FormatName, path: string, options: ReaderOptions = {}, from?: Position): Promise<FileRow[]> {
  const reader = await openReader(format, path, options);
  try {
    const rows: FileRow[] = [];
    for await (const chunk of reader.rows(from ?? reader.begin, never)) rows.push(...chunk);
    return rows;
  } finally {
    await reader.close();
  }
}

async function readPoints(format: FormatName, path: string, options: ReaderOptions = {}, from?: Position): Promise<(FilePoint | undefined)[]> {
  return (await readRows(format, path, options, from)).map((row) => row.point);
}

async function writeFormat(format: FormatName, path: string, points: readonly FilePoint[], groupSize = 3): Promise<void> {
  const writer = await openWriter(format, path);
  for (let i = 0; i < points.length; i += groupSize) await writer.write(points.slice(i, i + groupSize));
  await writer.finish();
}

async function fileOf(format: string, content: string | Buffer): Promise<string> {
  const path = newPath(format);
  await writeFile(path, content);
  return path;
}

const awkward = ['', ' leading', 'a,b', 'quote "x"', 'line\nbreak', 'é🐟', "it's", 'true', '12', '[1]', '-0'];
const points: FilePoint[] = Array.from({ length: 25 }, (_, i) => ({
  id: `point ${i}${i % 4 === 0 ? ',"x"' : ''}`,
  vector: Float32Array.from([i, (1 - i) / 3, 1e-7 * i, 0.1]),
  payload: { number: i, text: awkward[i % awkward.length]!, nested: { list: [1, 'two', null, true] }, nothing: null },
  ...(i % 3 === 0 ? { text: `text ${i}` } : {}),
}));
const bytePoints: FilePoint[] = points.map(({ vector: _, ...point }, i) => ({ ...point, vector: Float32Array.from([i, 255, 0, 7]) }));

describe('what is written reads back', () => {
  for (const format of ['jsonl', 'csv', 'parquet'] as const) {
    test(`${format}: whole points`, async () => {
      const path = newPath(format);
      await writeFormat(format, path, points);
      assert.deepEqual(await readPoints(format, path), points);
    });
  }
  for (const format of ['fvecs', 'ivecs', 'bvecs', 'npy'] as const) {
    test(`${format}: vectors, with ids made up or from a side file`, async () => {
      const path = newPath(format);
      const given = format === 'ivecs' || format === 'bvecs' ? bytePoints : points;
      await writeFormat(format, path, given);
      assert.deepEqual(
        await readPoints(format, path, { idPrefix: 'row-' }),
        given.map(({ vector }, i) => ({ id: `row-${i}`, vector, payload: {} })),
      );
      const idsFile = await fileOf('ids', given.map(({ id, payload, text }, i) => (i === 1 ? id : JSON.stringify({ id, payload, ...(text === undefined ? {} : { text }) }))).join('\n'));
      assert.deepEqual(
        await readPoints(format, path, { idsFile }),
        given.map((point, i) => (i === 1 ? { id: point.id, vector: point.vector, payload: {} } : point)),
      );
    });
  }
  for (const format of formatNames) {
    test(`${format}: a reader goes on from any row`, async () => {
      const path = newPath(format);
      await writeFormat(format, path, bytePoints);
      const rows = await readRows(format, path);
      assert.equal(rows.length, bytePoints.length);
      for (const index of [0, 1, 11, rows.length - 1]) {
        const rest = await readRows(format, path, {}, rows[index]!.after);
        assert.deepEqual(rest, rows.slice(index + 1), `after row ${index}`);
      }
    });
    test(`${format}: no points`, async () => {
      const path = newPath(format);
      await writeFormat(format, path, []);
      // An npy file without rows has no dimension either.
      if (format === 'npy') await assert.rejects(readPoints(format, path), { code: 'MALFORMED_BODY' });
      else assert.deepEqual(await readPoints(format, path), []);
    });
  }

  test('jsonl: any points', async () => {
    const point = fc.record(
      {
        id: fc.string({ minLength: 1, unit: 'grapheme' }),
        vector: fc.float32Array({ minLength: 1, maxLength: 8, noNaN: true, noDefaultInfinity: true }).map((vector) => vector.map((x) => (x === 0 ? 0 : x))),
        payload: fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue({ noUnicodeString: false })) as fc.Arbitrary<FilePoint['payload']>,
        text: fc.string({ unit: 'grapheme' }),
      },
      { requiredKeys: ['id', 'vector', 'payload'] },
    );
    await fc.assert(
      fc.asyncProperty(fc.array(point, { maxLength: 20 }), async (given) => {
        const path = newPath('jsonl');
        await writeFormat('jsonl', path, given as FilePoint[]);
        // Compared by their JSON: minus zero and prototypes have no form there.
        assert.equal(JSON.stringify(await readPoints('jsonl', path)), JSON.stringify(given.map(({ id, vector, payload, text }) => ({ id, vector, payload, ...(text === undefined ? {} : { text }) }))));
        await rm(path);
      }),
      { numRuns: 60 },
    );
  });
});

describe('columns', () => {
  const csv = (content: string, options: ReaderOptions = {}): Promise<(FilePoint | undefined)[]> => fileOf('csv', content).then((path) => readPoints('csv', path, options));

  test('types of cells are guessed, or told', async () => {
    const guesses: [string, unknown][] = [
      ['true', true], ['false', false], ['True', 'True'], ['1', 1], ['-1.5e3', -1500], ['007', '007'], ['+1', '+1'], ['12345678901234567890', '12345678901234567890'],
      ['{"a":1}', { a: 1 }], ['[1,2]', [1, 2]], ['[1,', '[1,'], ['null', 'null'], [' 1', ' 1'], ['NaN', 'NaN'],
    ];
    for (const [text, value] of guesses) assert.deepEqual(typedCell(text), { value }, text);
    assert.deepEqual(
      await csv('id,vector,zip,price,empty\na,1 2,01234,3,\n', { columnTypes: new Map([['zip', 'string'], ['price', 'float']]) }),
      [{ id: 'a', vector: Float32Array.from([1, 2]), payload: { zip: '01234', price: 3 } }],
    );
    assert.deepEqual(typedCell('x', 'integer'), { fault: 'is not an integer: "x"' });
    assert.deepEqual(typedCell('1.5', 'integer'), { fault: 'is not an integer: "1.5"' });
  });

  test('components in columns of their own, other names, no header, other delimiters', async () => {
    const expected = [{ id: 'w', vector: Float32Array.from([1, 2, 3]), payload: { k: 'v' } }];
    assert.deepEqual(await csv('word,x0,x1,x2,k\r\nw,1,2,3,v\r\n', { idColumn: 'word', vectorColumns: { first: 'x0', last: 'x2' } }), expected);
    assert.deepEqual(await csv('word;emb;k\nw;[1, 2, 3];v', { idColumn: 'word', vectorColumn: 'emb', delimiter: ';' }), expected);
    assert.deepEqual(await csv('w 1 2 3\n" 4 5 6\n', { header: false, delimiter: ' ', quote: '', idColumn: 'c1', vectorColumns: { first: 'c2', last: 'c4' } }), [
      { id: 'w', vector: Float32Array.from([1, 2, 3]), payload: {} },
      { id: '"', vector: Float32Array.from([4, 5, 6]), payload: {} },
    ]);
    assert.deepEqual(await csv('vector\n1;2\n3;4\n', { idPrefix: 'n' }), [
      { id: 'n0', vector: Float32Array.from([1, 2]), payload: {} },
      { id: 'n1', vector: Float32Array.from([3, 4]), payload: {} },
    ]);
  });

  test('columns that are not there, or twice', async () => {
    const cases: [string, ReaderOptions, RegExp][] = [
      ['a,vector\n', {}, /has no column "id" .*--id-column/],
      ['id,x\n', {}, /has no column "vector" .*--vector-column/],
      ['id,x,y\n', { vectorColumns: { first: 'y', last: 'x' } }, /"x" stands before "y"/],
      ['id,vector\n', { idColumn: 'key' }, /has no column "key"/],
      ['id,id,vector\n', {}, /has two columns "id"/],
    ];
    for (const [content, options, message] of cases) await assert.rejects(csv(content, options), (error: ShoalError) => error.code === 'INVALID_ARGUMENT' && message.test(error.message));
  });

  test('jsonl: other fields are the payload where there is none, and refused beside one', async () => {
    const path = await fileOf('jsonl', '\ufeff{"id":7,"vector":[1],"k":"v"}\r\n\n{"id":"b","vector":[2],"payload":{"k":1}}\n{"id":"c","vector":[2],"payload":{},"k":1}');
    assert.deepEqual(await readPoints('jsonl', path), [
      { id: '7', vector: Float32Array.of(1), payload: { k: 'v' } },
      { id: 'b', vector: Float32Array.of(2), payload: { k: 1 } },
      undefined,
    ]);
  });
});

describe('malformed rows are told with their place, and the rows after them are read', () => {
  const good = Float32Array.of(1, 2);
  const cases: { format: FormatName; name: string; content: string; options?: ReaderOptions; line: number; field?: string; message: RegExp }[] = [
    { format: 'jsonl', name: 'not JSON', content: '{"id":"a","vector":[1,2]}\n{"id":\n{"id":"c","vector":[1,2]}', line: 2, message: /is not JSON/ },
    { format: 'jsonl', name: 'no vector', content: '{"id":"a","vector":[1,2]}\n\n{"id":"b"}\n{"id":"c","vector":[1,2]}', line: 3, field: 'vector', message: /is missing/ },
    { format: 'jsonl', name: 'a string in the vector', content: '{"id":"a","vector":[1,2]}\n{"id":"b","vector":[1,"2"]}\n{"id":"c","vector":[1,2]}', line: 2, field: 'vector[1]', message: /is not a number: "2"/ },
    { format: 'jsonl', name: 'beyond 32 bits', content: '{"id":"a","vector":[1,2]}\n{"id":"b","vector":[1e39,2]}\n{"id":"c","vector":[1,2]}', line: 2, field: 'vector[0]', message: /not a finite/ },
    { format: 'csv', name: 'ragged', content: 'id,vector\na,1 2\nb,1 2,3\nc,1 2\n', line: 3, message: /has 3 cells where 2 columns are/ },
    { format: 'csv', name: 'NaN', content: 'id,x,y\na,1,2\nb,nan,2\nc,1,2\n', options: { vectorColumns: { first: 'x', last: 'y' } }, line: 3, field: 'x', message: /is not a finite number: "nan"/ },
    { format: 'csv', name: 'after a cell of two lines', content: 'id,vector,k\na,1 2,"1\n2"\nb,1 x,\nc,1 2,\n', line: 4, field: 'vector[1]', message: /"x"/ },
  ];
  for (const { format, name, content, options, line, field, message } of cases) {
    test(`${format}: ${name}`, async () => {
      const rows = await readRows(format, await fileOf(format, content), options);
      assert.deepEqual(rows.map((row) => row.point?.id), ['a', undefined, 'c']);
      assert.deepEqual([rows[0]!.point?.vector, rows[2]!.point?.vector], [good, good]);
      assert.equal(rows[1]!.at.line, line);
      assert.equal(rows[1]!.fault?.field, field);
      assert.match(rows[1]!.fault?.message ?? '', message);
    });
  }

  test('bytes that are not UTF-8', async () => {
    for (const format of ['jsonl', 'csv'] as const) {
      const row = format === 'jsonl' ? '{"id":"\xff","vector":[1]}\n' : 'id,vector\n\xff,1\n';
      const rows = await readRows(format, await fileOf(format, Buffer.from(row, 'latin1')));
      assert.match(rows[0]!.fault?.message ?? '', /is not valid UTF-8/, format);
    }
  });

  test('fvecs: a row of another dimension, and NaN', async () => {
    const row = (dimension: number, ...values: number[]): Buffer => {
      const bytes = Buffer.alloc(4 + values.length * 4);
      bytes.writeInt32LE(dimension);
      values.forEach((value, i) => bytes.writeFloatLE(value, 4 + 4 * i));
      return bytes;
    };
    const rows = await readRows('fvecs', await fileOf('fvecs', Buffer.concat([row(2, 1, 2), row(3, 1, 2), row(2, Number.NaN, 1), row(2, 3, 4)])));
    assert.deepEqual(rows.map((read) => read.fault?.code), [undefined, 'DIMENSION_MISMATCH', 'VECTOR_NOT_FINITE', undefined]);
  });
});

describe('malformed files are refused', () => {
  const npy = (header: string, body: Buffer, magic = '\x93NUMPY\x01\x00'): Buffer => {
    const text = Buffer.from(header, 'latin1');
    const length = Buffer.alloc(2);
    length.writeUInt16LE(text.length);
    return Buffer.concat([Buffer.from(magic, 'latin1'), length, text, body]);
  };
  const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }\n";
  const cases: [FormatName, string, Buffer | string, RegExp][] = [
    ['npy', 'wrong magic', npy(header, Buffer.alloc(24), '\x93NUMPX\x01\x00'), /does not begin with the magic/],
    ['npy', 'cut off rows', npy(header, Buffer.alloc(20)), /bytes where its header \(2 rows of 3\) asks for/],
    ['npy', 'cut off header', npy(header, Buffer.alloc(0)).subarray(0, 30), /cut off inside its header/],
    ['npy', 'Fortran order', npy(header.replace('False', 'True'), Buffer.alloc(24)), /Fortran order/],
    ['npy', 'one dimension', npy(header.replace('(2, 3)', '(6,)'), Buffer.alloc(24)), /two dimensions/],
    ['npy', 'objects', npy(header.replace('<f4', '|O'), Buffer.alloc(24)), /values of type '\|O'/],
    ['fvecs', 'cut off', Buffer.from([2, 0, 0, 0, 0, 0, 0]), /after the last whole row/],
    ['fvecs', 'not fvecs', Buffer.from('hello, I am text'), /begins with dimension/],
    ['parquet', 'not Parquet', 'PAR1 is what it should begin and end with', /not a whole Parquet file/],
    ['csv', 'an open quote', 'id,vector\na,"1 2\n', /line \d+: a quoted cell is not closed/],
    ['csv', 'text after a quote', 'id,vector\na,"1"2\n', /line 2: a quoted cell goes on/],
  ];
  for (const [format, name, content, message] of cases) {
    test(`${format}: ${name}`, async () => {
      const path = await fileOf(format, content);
      await assert.rejects(readRows(format, path), (error: ShoalError) => {
        assert.ok(error instanceof ShoalError, String(error));
        assert.equal(error.code, 'MALFORMED_BODY');
        assert.ok(error.message.startsWith(path), 'names the file');
        assert.match(error.message, message);
        return true;
      });
    });
  }

  test('parquet: a damaged page', async () => {
    const path = newPath('parquet');
    await writeFormat('parquet', path, points, 100);
    const bytes = await readFile(path);
    bytes.fill(0xff, 4, 60);
    await writeFile(path, bytes);
    await assert.rejects(readRows('parquet', path), { code: 'MALFORMED_BODY', message: /rows 0 to 24 cannot be read/ });
  });

  test('a side file with too few lines', async () => {
    const path = newPath('fvecs');
    await writeFormat('fvecs', path, points);
    await assert.rejects(readRows('fvecs', path, { idsFile: await fileOf('ids', 'a\nb\n') }), { code: 'INVALID_ARGUMENT', message: /has 2 lines/ });
  });

  test('writers refuse what would change a value', async () => {
    await assert.rejects(writeFormat('bvecs', newPath('bvecs'), [{ id: 'a', vector: Float32Array.of(256), payload: {} }]), { code: 'INVALID_ARGUMENT' });
    await assert.rejects(writeFormat('ivecs', newPath('ivecs'), [{ id: 'a', vector: Float32Array.of(0.5), payload: {} }]), { code: 'INVALID_ARGUMENT' });
  });
});

test('npy: every type of number', async () => {
  const types: [string, number, (bytes: Buffer, value: number) => void][] = [
    ['<f8', 8, (b, v) => void b.writeDoubleLE(v)], ['>f4', 4, (b, v) => void b.writeFloatBE(v)], ['<i8', 8, (b, v) => void b.writeBigInt64LE(BigInt(v))],
    ['|u1', 1, (b, v) => void b.writeUInt8(v)], ['<i2', 2, (b, v) => void b.writeInt16LE(v)], ['<u4', 4, (b, v) => void b.writeUInt32LE(v)],
    ['<f2', 2, (b, v) => void b.writeUInt16LE(v === 1 ? 0x3c00 : v === 2 ? 0x4000 : 0x4200)],
  ];
  for (const [type, size, put] of types) {
    const body = Buffer.concat([1, 2, 3].map((value) => { const bytes = Buffer.alloc(size); put(bytes, value); return bytes; }));
    const text = Buffer.from(`{'descr': '${type}', 'fortran_order': False, 'shape': (1, 3), }\n`);
    const head = Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 2, 0, text.length, 0, 0, 0]);
    assert.deepEqual(await readPoints('npy', await fileOf('npy', Buffer.concat([head, text, body]))), [{ id: '0', vector: Float32Array.of(1, 2, 3), payload: {} }], type);
  }
});

test('the format of a file is told by its ending', () => {
  assert.deepEqual(['a.jsonl', 'a.NDJSON', 'b/c.parquet', 'x.pq', 'a.npy', 'a.txt', 'a'].map(formatOf), ['jsonl', 'jsonl', 'parquet', 'parquet', 'npy', undefined, undefined]);
});
