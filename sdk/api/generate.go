package api

// In a workspace -modfile is refused: this is run with GOWORK=off.

//go:generate go tool -modfile=../../tools/go.mod buf generate
//go:generate go tool -modfile=../../tools/go.mod buf build -o schema/api.binpb --as-file-descriptor-set --exclude-source-info
