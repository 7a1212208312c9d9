// The real-time clock and its CMOS memory at the ports 70h and 71h (MC146818). The time of day is the start time plus the time of the
// VM: reading it is a function of the position. Called by `board.ts`; there are no alarm interrupts.

export const RTC_INDEX = 0x70;
export const RTC_DATA = 0x71;
const BYTES = 128;
const STATUS_A = 0x0a, STATUS_B = 0x0b, STATUS_D = 0x0d, CENTURY = 0x32;
/** 24 hours; values in BCD. */
const HOURS_24 = 2, BINARY = 4;

export interface RtcState { readonly index: number; readonly memory: readonly number[] }

export interface Rtc {
  read(port: number): number;
  write(port: number, value: number): void;
  save(): RtcState;
  load(state: RtcState): void;
}

/** `seconds` gives the time of day in seconds since 1970. */
export function createRtc(seconds: () => number): Rtc {
  const memory = new Uint8Array(BYTES);
  memory[STATUS_A] = 0x26;
  memory[STATUS_B] = HOURS_24;
  memory[STATUS_D] = 0x80;
  let index = 0;

  const shown = (value: number): number => ((memory[STATUS_B]! & BINARY) !== 0 ? value : Math.floor(value / 10) << 4 | value % 10);
  function hours(value: number): number {
    if ((memory[STATUS_B]! & HOURS_24) !== 0) return shown(value);
    return shown(value % 12 === 0 ? 12 : value % 12) | (value >= 12 ? 0x80 : 0);
  }
  function readData(): number {
    const { year, month, day, weekday, secondOfDay } = calendar(seconds());
    switch (index) {
      case 0: return shown(secondOfDay % 60);
      case 2: return shown(Math.floor(secondOfDay / 60) % 60);
      case 4: return hours(Math.floor(secondOfDay / 3600));
      case 6: return shown(weekday);
      case 7: return shown(day);
      case 8: return shown(month);
      case 9: return shown(year % 100);
      case CENTURY: return shown(Math.floor(year / 100));
      default: return memory[index]!;
    }
  }
  return {
    read: (port) => (port === RTC_DATA ? readData() : 0xff),
    write(port, value) {
      if (port === RTC_INDEX) index = value & 0x7f;
      else if (index !== STATUS_D) memory[index] = value;
    },
    save: () => ({ index, memory: [...memory] }),
    load(state) {
      index = state.index & 0x7f;
      memory.set(state.memory.slice(0, BYTES));
    },
  };
}

/** The Gregorian calendar from days since 1970 (Hinnant's "days from civil", the other way round). */
function calendar(seconds: number) {
  const days = Math.floor(seconds / 86400), shifted = days + 719468, era = Math.floor(shifted / 146097), ofEra = shifted - era * 146097;
  const yearOfEra = Math.floor((ofEra - Math.floor(ofEra / 1460) + Math.floor(ofEra / 36524) - Math.floor(ofEra / 146096)) / 365);
  const ofYear = ofEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100)), fromMarch = Math.floor((5 * ofYear + 2) / 153);
  const month = fromMarch < 10 ? fromMarch + 3 : fromMarch - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day: ofYear - Math.floor((153 * fromMarch + 2) / 5) + 1,
    weekday: (days + 4) % 7 + 1, secondOfDay: Math.floor(seconds - days * 86400),
  };
}
