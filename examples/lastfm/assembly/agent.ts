// A metadata agent that answers from Last.fm. What is exported here is what the
// host calls: all methods of the capability MetadataAgent, under the names that
// docs/plugin-abi.md gives them.

import { begin, failure, NOT_FOUND, notImplemented, success } from "./abi";
import { isWebAddress, lookUp } from "./lastfm";
import { ArtistRequest } from "./messages";
import { Writer } from "./proto";
import { shorten } from "./text";

export { malloc, free } from "./abi";

/** The longest biography and URL that go back to the caller, in UTF-16 units. */
const MAX_BIOGRAPHY = 4000;
const MAX_URL = 2000;

/** The version of the binary interface. */
export function metadata_agent_api_version(): u64 {
  return 1;
}

/** Returns the address of the artist's page: an ArtistURLResponse. */
export function metadata_agent_get_artist_url(address: usize, size: usize): u64 {
  const request = ArtistRequest.decode(begin(address, size));
  if (request === null) return failure("the request is no ArtistURLRequest");
  const answer = lookUp(request);
  const artist = answer.artist;
  if (artist === null) return failure(answer.error);
  const url = artist.get("url").text;
  if (!isWebAddress(url) || url.length > MAX_URL) return failure(NOT_FOUND);
  return success(new Writer().text(1, url).bytes());
}

/** Returns the summary of the artist's wiki page: an ArtistBiographyResponse. */
export function metadata_agent_get_artist_biography(address: usize, size: usize): u64 {
  const request = ArtistRequest.decode(begin(address, size));
  if (request === null) return failure("the request is no ArtistBiographyRequest");
  const answer = lookUp(request);
  const artist = answer.artist;
  if (artist === null) return failure(answer.error);
  let text = artist.get("bio").get("summary").text;
  // Every summary ends with a link to the page, also one that has nothing else.
  const link = text.lastIndexOf("<a href=");
  if (link >= 0) text = text.substring(0, link);
  text = text.trim();
  // An empty biography would count as an answer and keep the caller from asking
  // another agent.
  if (text == "") return failure(NOT_FOUND);
  return success(new Writer().text(1, shorten(text, MAX_BIOGRAPHY)).bytes());
}

/** Returns the artists that Last.fm names as similar, five at most: an ArtistSimilarResponse. */
export function metadata_agent_get_similar_artists(address: usize, size: usize): u64 {
  const request = ArtistRequest.decode(begin(address, size));
  if (request === null) return failure("the request is no ArtistSimilarRequest");
  const answer = lookUp(request);
  const artist = answer.artist;
  if (artist === null) return failure(answer.error);
  const similar = artist.get("similar").get("artist").items();
  const limit = request.limit > 0 ? min(request.limit, similar.length) : similar.length;
  if (limit == 0) return failure(NOT_FOUND);
  const response = new Writer();
  for (let i = 0; i < limit; i++) {
    response.message(1, new Writer().text(1, similar[i].get("name").text));
  }
  return success(response.bytes());
}

// The methods that the plugin does not offer must be there, too.

export function metadata_agent_get_artist_mbid(address: usize, size: usize): u64 {
  return notImplemented(address, size);
}

export function metadata_agent_get_artist_images(address: usize, size: usize): u64 {
  return notImplemented(address, size);
}

export function metadata_agent_get_artist_top_songs(address: usize, size: usize): u64 {
  return notImplemented(address, size);
}

export function metadata_agent_get_album_info(address: usize, size: usize): u64 {
  return notImplemented(address, size);
}

export function metadata_agent_get_album_images(address: usize, size: usize): u64 {
  return notImplemented(address, size);
}
