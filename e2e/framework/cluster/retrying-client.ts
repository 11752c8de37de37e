/** A client as docs/consistency.md advises, whose next try goes through the next gateway. */

import { ShoalClient } from '../shoal-client.ts';
import { repeatedRequest } from './repeated-request.ts';

export class RetryingClient {
  readonly #clients: readonly { readonly gateway: string; readonly client: ShoalClient }[];
  #next: number;
  /** Tries that failed and were followed by another. */
  repeatCount = 0;

  /** `first`: which of the gateways it begins with. */
  constructor(gateways: readonly { readonly name: string; readonly grpcAddress: string }[], key: string, first = 0) {
    this.#clients = gateways.map(({ name, grpcAddress }) => ({ gateway: name, client: new ShoalClient({ grpcAddress, key }) }));
    this.#next = first % gateways.length;
  }

  /** `request` is sent again as it is, so a write must carry its number. */
  send<Answer>(request: (client: ShoalClient, options: { readonly timeoutMs: number }) => Promise<Answer>): Promise<Answer> {
    return repeatedRequest(
      () => {
        const { gateway, client } = this.#clients[this.#next]!;
        return { gateway, send: (options) => request(client, options) };
      },
      () => {
        this.repeatCount++;
        this.#next = (this.#next + 1) % this.#clients.length;
      },
    );
  }

  close(): void {
    for (const { client } of this.#clients) client.close();
  }
}
