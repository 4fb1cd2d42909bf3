// No import at all.

export function nothing(): i32 {
  return 0;
}

export function nd_scrobbler_scrobble(): i32 {
  return 0;
}
