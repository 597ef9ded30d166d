package scanner

// Fill writes a content to a new file.
var Fill = fill
