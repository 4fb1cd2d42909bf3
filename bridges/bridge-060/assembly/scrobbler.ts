// The variant with a scrobbler: what is exported is what Navidrome tells.

import { Fields } from "./fields";
import { Answer, isVersion, Path } from "./gateway";
import { first, following, isObject, isString, member, parse, text } from "./json";
import { fail, input, OK, output } from "./kernel";
import { hasAddress, Settings } from "./settings";
import { Writer } from "./writer";

/** How long the gateway may take, in milliseconds: Navidrome ends a call after 30 s, and two tries must fit. */
const SCROBBLE_TIMEOUT = 10_000;
/** While one waits, what others play waits as well. */
const NOW_PLAYING_TIMEOUT = 3_000;

/** How many artists of a track are passed on. */
const MAX_ARTISTS = 100;

/** Navidrome keeps the play, and tries again. */
const RETRY_LATER = " scrobbler(retry_later)";
/** Navidrome discards the play. */
const UNRECOVERABLE = " scrobbler(unrecoverable)";

/** Says that plays are taken, from the configuration alone: a play that Navidrome does not hand over now is lost. */
export function nd_scrobbler_is_authorized(): i32 {
  return output(new Writer().ascii(hasAddress() ? "true" : "false"));
}

/** Hands over a play. It has no output: Navidrome takes the play as failed if there is one. */
export function nd_scrobbler_scrobble(): i32 {
  const request = read();
  if (!isObject(member(request, "track"))) return failed("the play cannot be read", UNRECOVERABLE);
  const body = new Writer();
  const fields = new Fields(body);
  if (!user(fields, request)) return failed("the play has no user name: Navidrome 0.63.1 or newer is needed", RETRY_LATER);
  track(fields, request);
  fields.integer64(member(request, "timestamp"), "timestamp").end();
  const answer = tell("/v1/scrobbles", body, SCROBBLE_TIMEOUT);
  // Anybody may answer 202: only the body says that a gateway has the play.
  if (answer.problem === null && answer.status == 202 && isVersion(answer.body)) return OK;
  return fail(answer.words().ascii(isFinal(answer) ? UNRECOVERABLE : RETRY_LATER));
}

/** Tells what somebody has started to play. Navidrome does so once, and only logs a failure. */
export function nd_scrobbler_now_playing(): i32 {
  const request = read();
  if (!isObject(member(request, "track"))) return failed("the track cannot be read", UNRECOVERABLE);
  const body = new Writer();
  const fields = new Fields(body);
  user(fields, request);
  track(fields, request);
  fields.end();
  const answer = tell("/v1/now-playing", body, NOW_PLAYING_TIMEOUT);
  if (answer.problem === null && answer.status == 204) return OK;
  if (answer.is(501, "plugin:not_implemented")) return OK;
  return fail(answer.words().ascii(isFinal(answer) ? UNRECOVERABLE : RETRY_LATER));
}

/** Tells whether the same play can never be taken. Whoever is no gateway cannot say so. */
function isFinal(answer: Answer): bool {
  if (answer.is(501, "plugin:not_implemented")) return true;
  return answer.ours && (answer.status == 400 || answer.status == 413);
}

/** The request of the call; 0 if it cannot be read. */
function read(): usize {
  const request = input();
  return request === null ? 0 : parse(request);
}

function failed(what: string, outcome: string): i32 {
  return fail(new Writer().ascii("pluginhost: ").ascii(what).ascii(outcome));
}

/** Sends to all plugins, or to the one that is set. */
function tell(path: string, body: Writer, timeout: i32): Answer {
  const settings = new Settings();
  if (settings.problem != "") return Answer.none(new Writer().ascii(settings.problem));
  const to = new Path(settings, path);
  if (settings.plugin.length > 0) to.id(settings.plugin);
  return to.post(body, min(timeout, settings.timeout), false);
}

/** Writes whose play it is; false if nobody is named. */
function user(fields: Fields, request: usize): bool {
  const name = member(request, "username");
  fields.text(name, "username");
  return !text(name).empty;
}

/** Writes a TrackInfo of the contract from Navidrome's. */
function track(fields: Fields, request: usize): void {
  const from = member(request, "track");
  const to = new Fields(fields.member("track"));
  to.text(member(from, "id"), "id").text(member(from, "mbzRecordingId"), "mbid").text(member(from, "title"), "name");
  to.text(member(from, "album"), "album").text(member(from, "mbzAlbumId"), "albumMbid");
  artists(to, "artists", member(from, "artists"), member(from, "artist"));
  artists(to, "albumArtists", member(from, "albumArtists"), member(from, "albumArtist"));
  to.integer32(member(from, "duration"), "length").integer32(member(request, "position"), "position");
  to.integer32(member(from, "trackNumber"), "trackNumber").integer32(member(from, "discNumber"), "discNumber");
  to.integer64(member(from, "duration"), "durationMs", 3);
  to.text(member(from, "mbzReleaseGroupId"), "releaseGroupMbid").end();
}

/** Writes artists; the one name that there is if they are not listed. */
function artists(to: Fields, name: string, list: usize, alone: usize): void {
  const out = to.member(name).byte(0x5b);
  let count = 0;
  for (let at = first(list); at != 0 && count < MAX_ARTISTS; at = following(at)) {
    if (text(member(at, "name")).empty) continue;
    if (count++ > 0) out.byte(0x2c);
    new Fields(out).text(member(at, "name"), "name").text(member(at, "mbid"), "mbid").end();
  }
  if (count == 0 && !text(alone).empty) new Fields(out).text(alone, "name").end();
  out.byte(0x5d);
}
