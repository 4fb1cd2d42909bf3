package navidrome

// MaxGetQuery is how long the query of a GET may be, in bytes.
const MaxGetQuery = maxGetQueryBytes
