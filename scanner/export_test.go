package scanner

// Fill writes a content to a new file.
var Fill = fill

// Room tells what is in the way of a copy.
var Room = room
