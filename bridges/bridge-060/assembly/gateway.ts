// The way to a pluginhost: one request to its HTTP gateway, and what became of it. Whatever comes back, there is an Answer.

import { decodeBase64 } from "./base64";
import { integer32, isObject, isString, isText, isWord, member, memberFolded, parse, Text, text } from "./json";
import { block, take } from "./kernel";
import { Bytes } from "./memory";
import { Settings } from "./settings";
import { Writer } from "./writer";

// @ts-ignore: decorator
@external("extism:host/user", "http_send")
declare function user_http_send(request: u64): u64;

/** Navidrome cuts an answer after so many bytes, without a word. */
const MAX_BODY = 10_485_760;
/** How much of a foreign text is in an error text, in characters. */
const MAX_EXCERPT = 200;

/** What became of a request. */
export class Answer {
  /** Why there is no answer, or none that can be read; null if there is one. */
  problem: Writer | null = null;
  /** The status of the answer. */
  status: i32 = 0;
  /** The body as JSON; 0 if it is none. */
  body: usize = 0;
  /** Whether the body is that of a failure which a gateway has told. */
  ours: bool = false;

  static none(problem: Writer): Answer {
    const answer = new Answer();
    answer.problem = problem;
    return answer;
  }

  /** Tells whether a gateway told of a failure with this status and name. */
  is(status: i32, name: string): bool {
    return this.ours && this.status == status && isText(member(this.body, "name"), name);
  }

  /** What happened, in words. */
  words(): Writer {
    const words = new Writer().ascii("pluginhost: ");
    const problem = this.problem;
    if (problem !== null) return words.bytes(problem.done());
    words.ascii("status ").integer(this.status);
    if (this.ours) {
      words.byte(0x20).excerpt(text(member(this.body, "name")), MAX_EXCERPT);
      return words.ascii(": ").excerpt(text(member(this.body, "error")), MAX_EXCERPT);
    }
    return words.ascii(" and a body that is not a gateway's: see whether the setting url leads to a pluginhost");
  }
}

/** A path of the gateway. */
export class Path {
  readonly url: Writer;

  constructor(readonly settings: Settings, path: string) {
    this.url = new Writer().bytes(settings.url).ascii(path);
  }

  /** Appends a segment that needs no encoding. */
  fixed(segment: string): Path {
    this.url.byte(0x2f).ascii(segment);
    return this;
  }

  /** Appends the id of a plugin. */
  id(plugin: Bytes): Path {
    this.url.byte(0x2f).segment(plugin);
    return this;
  }

  /** Sends JSON there. timeout is in milliseconds; the plugin gets a bit less if it is asked, so that the gateway answers. */
  post(body: Writer, timeout: i32, asks: bool): Answer {
    if (body.failed) return Answer.none(new Writer().ascii("the request is too large"));
    const request = new Writer();
    request.ascii('{"request":{"method":"POST","url":').text(Text.of(this.url.done()));
    request.ascii(',"headers":{"Authorization":').text(Text.of(new Writer().ascii("Bearer ").bytes(this.settings.token).done()));
    request.ascii(',"Content-Type":"application/json","Accept":"application/json"');
    if (asks) request.ascii(',"Pluginhost-Timeout":"').integer(timeout - timeout / 10).ascii('ms"');
    request.ascii('},"noFollowRedirects":true,"timeoutMs":').integer(timeout);
    request.ascii(',"body":"').base64(body.done()).ascii('"}}');
    const handle = block(request);
    if (handle == 0) return Answer.none(new Writer().ascii("the request is too large"));
    return read(take(user_http_send(handle)));
  }
}

/** Reads what the host returned. */
function read(response: Bytes | null): Answer {
  const unreadable = new Writer().ascii("the answer cannot be read");
  if (response === null) return Answer.none(unreadable);
  const root = parse(response);
  const failure = text(member(root, "error"));
  if (!failure.empty) return Answer.none(new Writer().excerpt(failure, MAX_EXCERPT));
  const result = member(root, "result");
  if (!isObject(result)) return Answer.none(unreadable);
  const answer = new Answer();
  answer.status = <i32>integer32(member(result, "statusCode"));
  const announced = memberFolded(member(result, "headers"), "content-length");
  const length = announced == 0 ? -1 : decimal(text(announced));
  const encoded = member(result, "body");
  if (!isString(encoded)) return length > 0 ? cut() : answer;
  // From here on the body lies where it was encoded.
  const body = decodeBase64(encoded);
  if (body === null) return Answer.none(unreadable);
  if (length >= 0 ? length != body.length : body.length >= MAX_BODY) return cut();
  answer.body = parse(body);
  const failed = answer.status < 200 || answer.status > 299;
  answer.ours = failed && isVersion(answer.body) && isString(member(answer.body, "name"));
  return answer;
}

function cut(): Answer {
  return Answer.none(new Writer().ascii("the answer was cut off"));
}

/** Tells whether a body is of the version of the gateway's answers that this is for. */
export function isVersion(body: usize): bool {
  return isWord(member(body, "v"), "1");
}

/** A number of digits; -1 if it is none. */
function decimal(digits: Text): i64 {
  let number: i64 = digits.empty ? -1 : 0;
  for (let c = digits.next(); c >= 0; c = digits.next()) {
    if (c < 0x30 || c > 0x39 || number > 1 << 40) return -1;
    number = number * 10 + (c - 0x30);
  }
  return number;
}
