/**
 * What one operation of the wire is: how its request and its answer travel, and what of a pod's service it calls. The
 * name is that of the field in `Request.body` and `Answer.body`.
 */

import type { Answer, Request } from '../../proto/gen/shoal/shard/v1/peer.ts';
import type { PodService, ShardTarget } from '../domain/pod-service.ts';
import type { ShardContext } from '../domain/shard-service.ts';
import { malformed } from './malformed.ts';

type Body<Message extends { body?: unknown }> = Extract<Exclude<Message['body'], undefined>, { $case: string }>;
type Field<Union, Name extends string> = Union extends { $case: Name } & Record<Name, infer Value> ? Value : never;

export type RequestBody = Body<Request>;
export type AnswerBody = Body<Answer>;
export type OperationName = RequestBody['$case'];

/** Everything that a request says, apart from how it travels. */
export interface Call<Input> {
  /** For operations of a shard. */
  readonly target?: ShardTarget | undefined;
  readonly input: Input;
}

export interface Operation<Input, Output> {
  readonly name: OperationName;
  /** When the connection is lost under way nobody knows whether it was done: OUTCOME_UNKNOWN. */
  readonly mutates: boolean;
  encodeRequest(input: Input): RequestBody;
  encodeAnswer(output: Output): AnswerBody;
  /** MALFORMED_BODY when the answer is that of another operation. */
  decodeAnswer(body: AnswerBody): Output;
  /** Decodes, calls, encodes. */
  serve(service: PodService, target: ShardTarget | undefined, body: RequestBody, context: ShardContext): Promise<AnswerBody>;
}

export interface OperationParts<Name extends OperationName, Input, Output> {
  readonly name: Name;
  readonly mutates: boolean;
  readonly request: { encode(input: Input): Field<RequestBody, Name>; decode(message: Field<RequestBody, Name>): Input };
  readonly answer: { encode(output: Output): Field<AnswerBody, Name>; decode(message: Field<AnswerBody, Name>): Output };
  run(service: PodService, target: ShardTarget | undefined, input: Input, context: ShardContext): Promise<Output>;
}

export function operation<Name extends OperationName, Input, Output>(parts: OperationParts<Name, Input, Output>): Operation<Input, Output> {
  const { name, mutates, request, answer, run } = parts;
  const encodeAnswer = (output: Output): AnswerBody => ({ $case: name, [name]: answer.encode(output) }) as unknown as AnswerBody;
  return {
    name,
    mutates,
    encodeRequest: (input) => ({ $case: name, [name]: request.encode(input) }) as unknown as RequestBody,
    encodeAnswer,
    decodeAnswer(body) {
      if (body.$case !== name) throw malformed(`an answer to ${name} is one to ${body.$case}`);
      return answer.decode((body as unknown as Record<Name, Field<AnswerBody, Name>>)[name]);
    },
    async serve(service, target, body, context) {
      const input = request.decode((body as unknown as Record<Name, Field<RequestBody, Name>>)[name]);
      return encodeAnswer(await run(service, target, input, context));
    },
  };
}
