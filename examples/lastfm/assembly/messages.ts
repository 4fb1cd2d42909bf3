// The messages that the plugin uses, with the field numbers of sdk/api/api.proto and
// sdk/api/host/*/*.proto. decode returns null where bytes are no such message.

import { Reader, Wire, Writer } from "./proto";

/**
 * ArtistURLRequest, ArtistBiographyRequest and ArtistSimilarRequest: they have
 * the same fields, of which only the last has a limit.
 */
export class ArtistRequest {
  name: string = "";
  mbid: string = "";
  limit: i32 = 0;

  static decode(bytes: Uint8Array): ArtistRequest | null {
    const request = new ArtistRequest();
    const fields = new Reader(bytes);
    while (fields.next()) {
      if (fields.is(2, Wire.BYTES)) request.name = fields.text();
      else if (fields.is(3, Wire.BYTES)) request.mbid = fields.text();
      else if (fields.is(4, Wire.VARINT)) request.limit = fields.number();
    }
    return fields.malformed ? null : request;
  }
}

/** HttpRequest of the http service. */
export class HttpRequest {
  headers: Map<string, string> = new Map();

  constructor(readonly url: string, readonly timeoutMs: i32) {}

  encode(): Uint8Array {
    const message = new Writer().text(1, this.url).number(3, this.timeoutMs);
    const names = this.headers.keys();
    for (let i = 0; i < names.length; i++) {
      message.entry(2, names[i], this.headers.get(names[i]));
    }
    return message.bytes();
  }
}

/** HttpResponse of the http service, without its headers. */
export class HttpResponse {
  status: i32 = 0;
  body: Uint8Array = new Uint8Array(0);
  error: string = "";

  static decode(bytes: Uint8Array): HttpResponse | null {
    const response = new HttpResponse();
    const fields = new Reader(bytes);
    while (fields.next()) {
      if (fields.is(1, Wire.VARINT)) response.status = fields.number();
      else if (fields.is(2, Wire.BYTES)) response.body = fields.blob();
      else if (fields.is(4, Wire.BYTES)) response.error = fields.text();
    }
    return fields.malformed ? null : response;
  }
}

/** The map of GetPluginConfigResponse of the config service. */
export function decodeConfig(bytes: Uint8Array): Map<string, string> | null {
  const config = new Map<string, string>();
  const fields = new Reader(bytes);
  while (fields.next()) {
    if (!fields.is(1, Wire.BYTES)) continue;
    let key = "", value = "";
    const entry = new Reader(fields.blob());
    while (entry.next()) {
      if (entry.is(1, Wire.BYTES)) key = entry.text();
      else if (entry.is(2, Wire.BYTES)) value = entry.text();
    }
    if (entry.malformed) return null;
    config.set(key, value);
  }
  return fields.malformed ? null : config;
}
