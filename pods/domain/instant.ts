/**
 * Instants in RFC 3339, the form in which payloads and filters write points in time.
 *
 * An instant is the number of milliseconds since the epoch as a double: digits below the millisecond are kept, to about
 * a quarter of a microsecond for the present century; instants nearer to each other than that are equal.
 */

const form = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d):(\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))$/;
const longestForm = 64;

/** Milliseconds since the epoch, or undefined when the text is not an RFC 3339 date and time with an offset. */
export function parseInstant(text: string): number | undefined {
  if (text.length > longestForm) return undefined;
  const match = form.exec(text);
  if (match === null) return undefined;
  const [, year, month, day, hour, minute, second, fraction, sign, offsetHour, offsetMinute] = match;
  const days = daysSinceEpoch(Number(year), Number(month), Number(day));
  if (days === undefined) return undefined;
  // Second 60 is a leap second; it counts as the first second of the next minute.
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined;
  let minutes = Number(hour) * 60 + Number(minute);
  if (sign !== undefined) {
    if (Number(offsetHour) > 23 || Number(offsetMinute) > 59) return undefined;
    const offset = Number(offsetHour) * 60 + Number(offsetMinute);
    minutes += sign === '+' ? -offset : offset;
  }
  const milliseconds = ((days * 1_440 + minutes) * 60 + Number(second)) * 1_000;
  return fraction === undefined ? milliseconds : milliseconds + Number(`0${fraction}`) * 1_000;
}

const daysInMonth = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];

/** Days from 1970-01-01 to a day of the proleptic Gregorian calendar. */
function daysSinceEpoch(year: number, month: number, day: number): number | undefined {
  const isLeap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  const length = month === 2 && isLeap ? 29 : daysInMonth[month - 1];
  if (length === undefined || day < 1 || day > length) return undefined;
  // Date.UTC reads years below 100 as 19xx, so the year goes in by itself.
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getTime() / 86_400_000;
}
