// The variant with a metadata agent: what is exported is what Navidrome asks for.

import { Question } from "./metadata";

export function nd_get_artist_mbid(): i32 {
  return new Question().text("id").text("name").ask("get_artist_mbid").text("mbid");
}

export function nd_get_artist_url(): i32 {
  return artist().ask("get_artist_url").text("url");
}

export function nd_get_artist_biography(): i32 {
  return artist().ask("get_artist_biography").text("biography");
}

export function nd_get_artist_images(): i32 {
  return artist().ask("get_artist_images").list("images", "url", "size", true);
}

export function nd_get_similar_artists(): i32 {
  return artist().integer("limit").ask("get_similar_artists").list("artists", "name", "mbid");
}

export function nd_get_artist_top_songs(): i32 {
  const question = new Question().text("id").text("name", "artistName").text("mbid").integer("count");
  return question.ask("get_artist_top_songs").list("songs", "name", "mbid");
}

export function nd_get_album_info(): i32 {
  return album().ask("get_album_info").texts("info", ["name", "mbid", "description", "url"]);
}

export function nd_get_album_images(): i32 {
  return album().ask("get_album_images").list("images", "url", "size", true);
}

function artist(): Question {
  return new Question().text("id").text("name").text("mbid");
}

function album(): Question {
  return new Question().text("name").text("artist").text("mbid");
}
