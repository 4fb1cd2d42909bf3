// What the administrator has set.

import { setting } from "./kernel";
import { Bytes } from "./memory";
import { begins } from "./text";

/** How long an answer may take, in seconds: by default, and at most, as Navidrome ends a call after 30. */
const DEFAULT_TIMEOUT = 10;
const MAX_TIMEOUT = 25;

export class Settings {
  /** What is wrong; empty if nothing is. */
  problem: string = "";
  /** The address of the gateway, without a slash at the end. */
  url: Bytes;
  /** The access token. */
  token: Bytes;
  /** The id of the plugin that is asked; empty for all of them. */
  plugin: Bytes;
  /** How long an answer may take, in milliseconds. */
  timeout: i32;

  constructor() {
    this.url = address();
    this.token = setting("token").trimmed();
    this.plugin = setting("plugin").trimmed();
    this.timeout = seconds(setting("timeout").trimmed()) * 1000;
    if (this.url.length == 0) this.problem = "the setting url is missing";
    else if (!isAddress(this.url)) this.problem = "the setting url is no address such as http://127.0.0.1:8080";
    else if (this.token.length == 0) this.problem = "the setting token is missing";
    else if (!isVisible(this.token)) this.problem = "the setting token has characters that no token has";
  }
}

/** Tells whether somebody has set where the gateway is. */
export function hasAddress(): bool {
  return address().length > 0;
}

function address(): Bytes {
  const all = setting("url").trimmed();
  let length = all.length;
  while (length > 0 && load<u8>(all.start + length - 1) == 0x2f) length--;
  return new Bytes(all.start, length);
}

function isAddress(url: Bytes): bool {
  const scheme = begins(url.start, url.end, "https://") ? 8 : begins(url.start, url.end, "http://") ? 7 : 0;
  if (scheme == 0 || scheme == url.length || !isVisible(url)) return false;
  const host = load<u8>(url.start + scheme);
  if (host == 0x2f /* / */ || host == 0x3a /* : */) return false;
  for (let at = url.start; at < url.end; at++) {
    const c = load<u8>(at);
    if (c == 0x3f /* ? */ || c == 0x23 /* # */ || c == 0x5c /* \ */) return false;
  }
  return true;
}

/** Tells whether all of the bytes are ASCII that can be seen. */
function isVisible(bytes: Bytes): bool {
  for (let at = bytes.start; at < bytes.end; at++) {
    if (load<u8>(at) <= 0x20 || load<u8>(at) >= 0x7f) return false;
  }
  return true;
}

/** The number that a setting begins with, within what is allowed; the default if there is none. */
function seconds(value: Bytes): i32 {
  let number = 0;
  let at = value.start;
  for (; at < value.end && load<u8>(at) >= 0x30 && load<u8>(at) <= 0x39; at++) {
    number = min(MAX_TIMEOUT, number * 10 + (load<u8>(at) - 0x30));
  }
  return at == value.start ? DEFAULT_TIMEOUT : max(1, number);
}
