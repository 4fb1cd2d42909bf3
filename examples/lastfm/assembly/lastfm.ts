// Last.fm's web service: https://www.last.fm/api/show/artist.getInfo

import { getPluginConfig, httpGet, NOT_FOUND } from "./abi";
import { Kind, parseJSON, Value } from "./json";
import { ArtistRequest, decodeConfig, HttpRequest, HttpResponse } from "./messages";
import { decodeUTF8, isAlphanumeric, shorten } from "./text";

const USER_AGENT = "pluginhost-lastfm/1.0 (+https://github.com/pluginhost/pluginhost)";

/** How long one request may take. Two stay within the 10 seconds that a call has. */
const TIMEOUT_MS = 4000;

/** The largest answer that is read, in bytes. */
const MAX_ANSWER = 256 << 10;

/** The longest name that is asked for, and the longest base_url, in UTF-16 units. */
const MAX_NAME = 300;
const MAX_BASE_URL = 1000;

/** How much of Last.fm's own words an error repeats, in UTF-16 units. */
const MAX_QUOTE = 200;

/** The number of the error that tells of an artist Last.fm does not know. */
const UNKNOWN_ARTIST = "6";

/** What became of a question: what Last.fm knows of the artist, unless there is an error. */
export class Answer {
  constructor(readonly artist: Value | null, readonly error: string) {}
}

function failed(error: string): Answer {
  return new Answer(null, error);
}

/** Asks Last.fm about an artist: by the MusicBrainz id, and by the name if that finds nothing. */
export function lookUp(request: ArtistRequest): Answer {
  const settings = Settings.read();
  if (settings.error != "") return failed(`configuration: ${settings.error}`);
  if (request.mbid != "" && request.mbid.length <= MAX_NAME) {
    const answer = ask(settings, "mbid", request.mbid);
    if (answer.error != NOT_FOUND) return answer;
  }
  const name = request.name.trim();
  if (name == "" || name.length > MAX_NAME) return failed(NOT_FOUND);
  return ask(settings, "artist", name);
}

function ask(settings: Settings, parameter: string, value: string): Answer {
  const query = `method=artist.getinfo&format=json&api_key=${settings.apiKey}&lang=${settings.language}`;
  const request = new HttpRequest(`${settings.baseURL}?${query}&${parameter}=${encodeURIComponent(value)}`, TIMEOUT_MS);
  request.headers.set("Accept", "application/json");
  request.headers.set("User-Agent", USER_AGENT);
  const response = HttpResponse.decode(httpGet(request.encode()));
  if (response === null) return failed("the host's answer is no HttpResponse");
  if (response.error != "") {
    // It may name the URL, and whoever calls the plugin reads it.
    return failed("Last.fm: " + response.error.replaceAll(settings.apiKey, "…"));
  }
  return read(response);
}

/** Makes the answer of Last.fm's. Its errors come as JSON, with any status. */
function read(response: HttpResponse): Answer {
  if (response.body.length > MAX_ANSWER) return failed(`Last.fm: the answer has more than ${MAX_ANSWER} bytes`);
  const text = decodeUTF8(response.body);
  let answer: Value | null = null;
  if (text !== null) answer = parseJSON(text);
  if (answer !== null) {
    const code = answer.get("error").text;
    if (code == UNKNOWN_ARTIST) return failed(NOT_FOUND);
    if (code != "") return failed(`Last.fm: error ${shorten(code, MAX_QUOTE)}: ${shorten(answer.get("message").text, MAX_QUOTE)}`);
  }
  if (response.status != 200) return failed(`Last.fm: status ${response.status}`);
  if (answer === null) return failed("Last.fm: the answer is not JSON");
  const artist = answer.get("artist");
  if (artist.kind != Kind.OBJECT) return failed("Last.fm: the answer has no artist");
  return new Answer(artist, "");
}

/** The entries of [PluginConfig.lastfm]. */
class Settings {
  error: string = "";
  apiKey: string = "";
  language: string = "";
  baseURL: string = "";

  /** Reads the configuration, at every call: a plugin keeps nothing. */
  static read(): Settings {
    const settings = new Settings();
    const entries = decodeConfig(getPluginConfig());
    if (entries === null) {
      settings.error = "the host's answer is no GetPluginConfigResponse";
      return settings;
    }
    settings.apiKey = entryOf(entries, "api_key", "");
    settings.language = entryOf(entries, "language", "en");
    settings.baseURL = entryOf(entries, "base_url", "https://ws.audioscrobbler.com/2.0/");
    if (settings.apiKey == "") {
      settings.error = "api_key is not set: get one at https://www.last.fm/api/account/create";
    } else if (!isAlphanumeric(settings.apiKey)) {
      settings.error = "api_key has characters other than letters and digits";
    } else if (settings.language.length != 2 || !isAlphanumeric(settings.language)) {
      settings.error = "language is no code of two letters, such as en or de";
    } else if (!isWebAddress(settings.baseURL) || settings.baseURL.length > MAX_BASE_URL) {
      settings.error = "base_url does not begin with https:// or http://, or is too long";
    }
    return settings;
  }
}

function entryOf(entries: Map<string, string>, key: string, otherwise: string): string {
  return entries.has(key) ? entries.get(key) : otherwise;
}

export function isWebAddress(address: string): bool {
  return address.startsWith("https://") || address.startsWith("http://");
}
