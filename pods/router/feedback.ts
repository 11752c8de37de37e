/** The feedback part of `VectorApi`: kept as records of the system collection, by collection and time. */

import type { Clock } from '../kernel/clock.ts';
import { ShoalError } from '../kernel/errors.ts';
import { limits } from '../kernel/limits.ts';
import { checkPointId } from '../domain/point.ts';
import type { Random } from '../kernel/random.ts';
import type { RecordStore } from '../api/records.ts';
import type { Feedback, FeedbackApi, StoredFeedback } from '../api/vector-api.ts';
import type { ClusterMap } from './cluster-map.ts';
import { checkItemCount, checkRange } from './points.ts';

export interface FeedbackOptions {
  readonly map: ClusterMap;
  readonly records: RecordStore;
  readonly clock: Clock;
  readonly random: Random;
}

export function createFeedbackApi({ map, records, clock, random }: FeedbackOptions): FeedbackApi {
  return {
    async submit(context, feedback) {
      checkFeedback(feedback);
      const collection = await map.collection(feedback.collection);
      const createdAtMs = clock.nowMs();
      // Ids order by time; the random part keeps two of one millisecond apart.
      const id = `${createdAtMs.toString(36).padStart(9, '0')}-${random.uuid()}`;
      const stored: StoredFeedback = { ...feedback, id, createdAtMs, subject: context.identity.subject };
      const value = new TextEncoder().encode(JSON.stringify(stored));
      if (value.length > limits.feedbackBytesMax) {
        throw new ShoalError('PAYLOAD_TOO_LARGE', `the feedback has ${value.length} bytes of JSON; the limit is ${limits.feedbackBytesMax}`, {
          details: { limit: limits.feedbackBytesMax, found: value.length },
        });
      }
      await records.put(context, keyPrefix(collection.object.metadata.uid) + id, value, 0);
      return { id };
    },

    async list(context, name, page) {
      checkRange('limit', page.limit, limits.scrollLimitMax);
      const collection = await map.collection(name);
      const prefix = keyPrefix(collection.object.metadata.uid);
      const found = await records.scan(context, prefix, { limit: page.limit, ...(page.cursor === undefined ? {} : { after: prefix + page.cursor }) });
      const feedback = found.map((record) => JSON.parse(new TextDecoder().decode(record.value)) as StoredFeedback);
      const last = feedback.at(-1);
      return { feedback, ...(last !== undefined && feedback.length === page.limit ? { nextCursor: last.id } : {}) };
    },
  };
}

/** By UID, so that a later collection of the same name does not inherit it. */
function keyPrefix(collectionUID: string): string {
  return `feedback/${collectionUID}/`;
}

function checkFeedback({ items, resultIds }: Feedback): void {
  checkItemCount('items', items.length, limits.feedbackItemCountMax);
  checkItemCount('resultIds', resultIds.length, limits.feedbackItemCountMax);
  resultIds.forEach((id, i) => checkPointId(id, `resultIds[${i}]`));
  items.forEach(({ resultId, relevanceScore, position }, i) => {
    checkPointId(resultId, `items[${i}].resultId`);
    checkRange(`items[${i}].relevanceScore`, relevanceScore, 5);
    if (!Number.isInteger(position) || position < 0) {
      throw new ShoalError('INVALID_ARGUMENT', `items[${i}].position must be an integer from 0`, { details: { field: `items[${i}].position` } });
    }
  });
}
