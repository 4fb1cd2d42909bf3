// Questions about artists and albums: Navidrome's to the gateway, and the answers back.

import { Fields } from "./fields";
import { Answer, Path } from "./gateway";
import { first, following, isObject, member, parse, text } from "./json";
import { fail, input, NOT_IMPLEMENTED, OK, output } from "./kernel";
import { Settings } from "./settings";
import { Writer } from "./writer";

/** How many entries of a list are passed on; Navidrome uses fewer. */
const MAX_ENTRIES = 1000;

/** The request of the call, and what it becomes. */
export class Question {
  /** What Navidrome asks; 0 if it cannot be read. */
  readonly request: usize;
  private readonly fields: Fields = new Fields(new Writer());

  constructor() {
    const request = input();
    this.request = request === null ? 0 : parse(request);
  }

  /** Takes over a text, under another name if one is given. */
  text(name: string, as: string = ""): Question {
    this.fields.text(member(this.request, name), as == "" ? name : as);
    return this;
  }

  /** Takes over a whole number. */
  integer(name: string): Question {
    this.fields.integer32(member(this.request, name), name);
    return this;
  }

  /** Asks a method of the plugin that is set, or of all. */
  ask(method: string): Reply {
    if (!isObject(this.request)) return Reply.ended(fail(new Writer().ascii("pluginhost: the request cannot be read")));
    this.fields.end();
    const settings = new Settings();
    if (settings.problem != "") return Reply.ended(fail(new Writer().ascii("pluginhost: ").ascii(settings.problem)));
    const one = settings.plugin.length > 0;
    const path = one ? new Path(settings, "/v1/plugins").id(settings.plugin) : new Path(settings, "/v1/agents");
    return reply(path.fixed(method).post(this.fields.to, settings.timeout, true));
  }
}

/** What was answered. */
export class Reply {
  /** What the export returns if there is no message. */
  code: i32 = OK;
  /** The response message; 0 if the call has ended without one. */
  message: usize = 0;

  static ended(code: i32): Reply {
    const reply = new Reply();
    reply.code = code;
    return reply;
  }

  /** Passes on one text, unless it is empty. */
  text(name: string): i32 {
    if (this.message == 0) return this.code;
    const out = new Writer();
    return new Fields(out).text(member(this.message, name), name).end() ? output(out) : OK;
  }

  /** Passes on texts of a member, unless all are empty. */
  texts(name: string, texts: Array<string>): i32 {
    if (this.message == 0) return this.code;
    const out = new Writer();
    const fields = new Fields(out);
    const object = member(this.message, name);
    for (let i = 0; i < texts.length; i++) fields.text(member(object, texts[i]), texts[i]);
    return fields.end() ? output(out) : OK;
  }

  /** Passes on a list of objects that have a text which is not empty, with another member; nothing if there is none. */
  list(name: string, required: string, other: string, number: bool = false): i32 {
    if (this.message == 0) return this.code;
    const out = new Writer();
    new Fields(out).member(name).byte(0x5b);
    let count = 0;
    for (let at = first(member(this.message, name)); at != 0 && count < MAX_ENTRIES; at = following(at)) {
      if (text(member(at, required)).empty) continue;
      if (count++ > 0) out.byte(0x2c);
      const fields = new Fields(out).text(member(at, required), required);
      if (number) fields.integer32(member(at, other), other);
      else fields.text(member(at, other), other);
      fields.end();
    }
    out.ascii("]}");
    return count > 0 ? output(out) : OK;
  }
}

function reply(answer: Answer): Reply {
  if (answer.is(404, "plugin:not_found")) return Reply.ended(OK);
  if (answer.is(501, "plugin:not_implemented")) return Reply.ended(NOT_IMPLEMENTED);
  if (answer.problem !== null || answer.status != 200 || !isObject(answer.body)) return Reply.ended(fail(answer.words()));
  const reply = new Reply();
  reply.message = answer.body;
  return reply;
}
