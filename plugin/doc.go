// Package plugin reads the plugins of a plugins folder, and installs, updates, links and removes them. Each is a folder with
// plugin.wasm and manifest.json; a package is a .ndp file with both ([ReadPackage], [Pack]).
//
// [Scan] lists the plugins folder and [Load] looks at one plugin of it. Both give an [Entry] per plugin, with its
// [Manifest] or with the reason why it cannot be used; a broken plugin never hides the others. [ParseManifest] reads a
// manifest alone.
//
// manifest.schema.json in this folder states what a manifest may contain. It is a plain JSON Schema (draft 7), so an
// editor can use it too. The same schema yields faults and warnings: a fault is what Navidrome 0.58 refused to load (and a
// few settings that could never have worked), a warning is what its schema forbade but its loader let pass.
//
// Nothing here runs plugin.wasm, or looks beyond its first bytes.
package plugin
