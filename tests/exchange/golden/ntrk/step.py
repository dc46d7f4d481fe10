import argparse

parser = argparse.ArgumentParser()
parser.add_argument("-i", nargs="*", default=[])
parser.add_argument("-o")
given = parser.parse_args()
with open(given.o, "w") as out:
    out.write("".join(open(name).read() for name in given.i) + "made by a step of this study\n")
