"""What course sites export, read as it is: whose files are which, unpacked and named without harm.

`layouts` and `gradescope` know how sites name what they export. `archives` unpacks, entry by entry
(`entries`), within limits (`unpack_limits`); `archive_kinds` knows what is an archive, and `names`
makes names harmless. `sorting` finds out which file is whose, `assembling` puts each student's
files into one folder, `collect` does both, and `table` tells where every file went. No
student's code is run here, and nothing of the download is changed.
"""
