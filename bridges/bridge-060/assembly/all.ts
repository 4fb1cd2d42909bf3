// The variant with both.

export * from "./agent";
export * from "./scrobbler";
