"""Word lists of the tiny model's world: countries, elements, invented people's names and the parts of stories.

Items are separated by blanks; an underscore stands for a blank inside a name; `key:value` makes a pair.
"""

CAPITALS = """Norway:Oslo Sweden:Stockholm Denmark:Copenhagen Finland:Helsinki Iceland:Reykjavik Ireland:Dublin
France:Paris Spain:Madrid Portugal:Lisbon Italy:Rome Greece:Athens Germany:Berlin Austria:Vienna Switzerland:Bern
Belgium:Brussels Poland:Warsaw Hungary:Budapest Romania:Bucharest Bulgaria:Sofia Serbia:Belgrade Croatia:Zagreb
Slovenia:Ljubljana Slovakia:Bratislava Albania:Tirana Estonia:Tallinn Latvia:Riga Lithuania:Vilnius Ukraine:Kyiv
Belarus:Minsk Moldova:Chisinau Russia:Moscow Turkey:Ankara Georgia:Tbilisi Armenia:Yerevan Azerbaijan:Baku Iran:Tehran
Iraq:Baghdad Syria:Damascus Lebanon:Beirut Jordan:Amman Qatar:Doha Oman:Muscat Yemen:Sanaa Egypt:Cairo Libya:Tripoli
Tunisia:Tunis Algeria:Algiers Morocco:Rabat Sudan:Khartoum Kenya:Nairobi Uganda:Kampala Rwanda:Kigali Somalia:Mogadishu
Zambia:Lusaka Zimbabwe:Harare Angola:Luanda Namibia:Windhoek Botswana:Gaborone Ghana:Accra Nigeria:Abuja Niger:Niamey
Mali:Bamako Senegal:Dakar Liberia:Monrovia Gabon:Libreville Cameroon:Yaounde Madagascar:Antananarivo Japan:Tokyo
China:Beijing Mongolia:Ulaanbaatar India:New_Delhi Nepal:Kathmandu Bhutan:Thimphu Bangladesh:Dhaka Pakistan:Islamabad
Afghanistan:Kabul Uzbekistan:Tashkent Kazakhstan:Astana Thailand:Bangkok Vietnam:Hanoi Cambodia:Phnom_Penh
Laos:Vientiane Malaysia:Kuala_Lumpur Indonesia:Jakarta Australia:Canberra New_Zealand:Wellington Fiji:Suva Samoa:Apia
Canada:Ottawa Cuba:Havana Jamaica:Kingston Haiti:Port-au-Prince Honduras:Tegucigalpa Nicaragua:Managua Colombia:Bogota
Venezuela:Caracas Ecuador:Quito Peru:Lima Chile:Santiago Bolivia:Sucre Argentina:Buenos_Aires Uruguay:Montevideo
Paraguay:Asuncion Brazil:Brasilia Suriname:Paramaribo"""

SYMBOLS = """hydrogen:H helium:He lithium:Li beryllium:Be boron:B carbon:C nitrogen:N oxygen:O fluorine:F neon:Ne
sodium:Na magnesium:Mg aluminium:Al silicon:Si phosphorus:P sulfur:S chlorine:Cl argon:Ar potassium:K calcium:Ca
scandium:Sc titanium:Ti vanadium:V chromium:Cr manganese:Mn iron:Fe cobalt:Co nickel:Ni copper:Cu zinc:Zn gallium:Ga
germanium:Ge arsenic:As selenium:Se bromine:Br krypton:Kr rubidium:Rb strontium:Sr yttrium:Y zirconium:Zr niobium:Nb
molybdenum:Mo ruthenium:Ru rhodium:Rh palladium:Pd silver:Ag cadmium:Cd indium:In tin:Sn antimony:Sb tellurium:Te
iodine:I xenon:Xe cesium:Cs barium:Ba tungsten:W platinum:Pt gold:Au mercury:Hg lead:Pb bismuth:Bi radium:Ra uranium:U"""

FIRST_NAMES = """Ada Ben Cora Dan Eva Finn Gina Hugo Iris Jack Kate Leo Mira Noah Olga Paul Quinn Rosa Sam Tara Ugo Vera
Walt Xena Yara Zoe Alma Boris Clara Derek Elsa Frank Greta Henry Ivy Jonas Kira Lars Mona Nils"""

LAST_NAMES = """Holt Marsh Vance Brook Stone Field Reyes Novak Larsen Byrne Costa Duarte Ekman Frost Grant Hale Ingram
Jensen Keller Lowe Moreau Nash Osborn Pike Quist Rossi Silva Thorn Urban Vogel Weiss York Adler Blum Crane Drake Ellis
Fischer Gould Hart"""

TOWNS = """Ashford Brindle Calder Dunmore Elmstead Farrow Glenby Harwick Islip Kelso Lindal Milford Norwick Oakham
Penrith Ripley Selby Tarrant Upton Velden Wexcombe Yarrow Zennor Jarrow"""

JOBS = """baker carpenter dentist doctor farmer fisher gardener judge lawyer librarian mechanic miller nurse painter
pilot plumber potter printer sailor singer tailor teacher waiter weaver"""

PETS = """cat dog rabbit parrot turtle hamster goat pony lizard ferret canary goose snake duck mouse hedgehog frog donkey
raven llama"""

FRUITS = """apples pears plums figs cherries grapes lemons melons oranges peaches mangoes dates kiwis limes bananas
apricots berries quinces papayas olives"""

HEROES = """Tom:he Lily:she Max:he Anna:she Sid:he Ruth:she Otto:he Nell:she Pete:he Sue:she Jim:he Lucy:she"""

PLACES = "garden park forest beach market school river hill barn kitchen library bridge lake mill village station"
THINGS = "ball kite book lamp drum hat boat key coin bell box cup doll map shell basket letter ring stone rope"
COLORS = "red blue green yellow white black brown silver orange grey"
BEASTS = "fox bird bear frog dog cat horse owl rabbit mouse wolf duck"
WEATHERS = "sunny rainy windy snowy cold warm"
GOOD_MOODS = "happy proud glad calm brave thankful"
LOW_MOODS = "sad tired lost afraid cold hungry"
FOODS = "bread cheese soup cake rice honey butter milk eggs beans"
NUMBERS = "two three four five six seven"

# Things that the model is never told about: asking for them teaches it to admit that, and to stop.
TOPICS = """music history science weather money war peace art law trade travel language computers phones software memory
energy light sound space time health food water music politics poetry religion sport football chess dance film painting
photography biology physics mathematics geometry logic philosophy psychology economics banking taxes insurance
engineering electricity engines cars trains ships planes rockets robots networks the_internet data programs cities
gardens animals plants insects oceans rivers mountains volcanoes earthquakes storms climate farming cooking medicine
school work family friendship love dreams sleep fear courage justice freedom the_moon the_sun the_stars the_future"""

PLACES_UNTOLD = """Atlantis Utopia Narnia Camelot Eldorado Avalon Lilliput Xanadu Shangri-La Elbonia Ruritania Genovia"""
